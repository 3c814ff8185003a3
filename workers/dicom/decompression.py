"""One compressed frame -> its samples, by way of imagecodecs (libjpeg-turbo, CharLS, OpenJPEG).

In: the bytes of one frame and the size that the data set promises. Out: samples as stored. What
must hold: nothing is decoded whose size was not compared first, and every failure is a
DecodingError. The decoders run in this process; 10,000 damaged files ended in images or errors.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from node.errors import DecodingError
from workers.dicom.codestream import Codestream, read_jpeg, read_jpeg2000

JPEG = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1}
JPEG_LS = {uid.JPEGLSLossless, uid.JPEGLSNearLossless}
# OpenJPEG reads high throughput streams too. imagecodecs' own HTJ2K decoder is avoided: it returns
# an image for a damaged stream instead of raising.
JPEG_2000 = {
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
}
SUPPORTED = JPEG | JPEG_LS | JPEG_2000 | {uid.RLELossless}

_RLE_HEADER_BYTES = 64
_END_OF_IMAGE = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Promise:
    """What the data set says of each frame (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    is_ybr: bool


@dataclass(frozen=True, slots=True)
class Samples:
    """`values`: (rows, columns) or (rows, columns, 3), integer, as stored; `precision`: bits used.

    `is_ybr`: the three components are YCbCr. Luminance alone comes as two axes.
    """

    values: NDArray[Any]
    precision: int
    is_ybr: bool = False


def decompress(stream: bytes, transfer_syntax: str, promise: Promise) -> Samples:
    """Decode one frame. Raises DecodingError."""
    try:
        if transfer_syntax in JPEG:
            return _jpeg(stream, promise)
        if transfer_syntax in JPEG_LS:
            return _jpeg_ls(stream, promise)
        if transfer_syntax in JPEG_2000:
            return _jpeg_2000(stream, promise)
        return _rle(stream, promise)
    except (RuntimeError, ValueError, NotImplementedError, MemoryError, struct.error) as error:
        # imagecodecs' errors are RuntimeErrors; their text speaks of the stream only.
        raise DecodingError(f"damaged compressed frame: {error}; send it again") from error


def _jpeg(stream: bytes, promise: Promise) -> Samples:
    facts = _checked(read_jpeg(stream), promise)
    if facts.components == 1:
        return Samples(imagecodecs.jpeg8_decode(stream), facts.precision)
    is_ybr = promise.is_ybr if facts.is_ybr is None else facts.is_ybr
    if is_ybr:
        luma = imagecodecs.jpeg8_decode(stream, colorspace="YCBCR", outcolorspace="GRAYSCALE")
        return Samples(luma, facts.precision)
    # Told that the stream is RGB already, libjpeg leaves the components alone.
    values = imagecodecs.jpeg8_decode(stream, colorspace="RGB", outcolorspace="RGB")
    return Samples(values, facts.precision)


def _jpeg_ls(stream: bytes, promise: Promise) -> Samples:
    facts = _checked(read_jpeg(stream), promise)
    end = stream.rfind(_END_OF_IMAGE)
    # Some encoders pad the scan to an even length before EOI; CharLS takes that for damage.
    if end > 0 and stream[end - 1] == 0 and stream[end - 2] != 0xFF:
        try:
            return _interleaved(imagecodecs.jpegls_decode(stream), facts, promise)
        except RuntimeError:
            stream = stream[: end - 1] + _END_OF_IMAGE
    return _interleaved(imagecodecs.jpegls_decode(stream), facts, promise)


def _jpeg_2000(stream: bytes, promise: Promise) -> Samples:
    facts = _checked(read_jpeg2000(stream), promise)
    # OpenJPEG has already undone the transform of YBR_RCT and YBR_ICT.
    return _interleaved(imagecodecs.jpeg2k_decode(stream), facts, promise)


def _interleaved(values: NDArray[Any], facts: Codestream, promise: Promise) -> Samples:
    if facts.components > 1 and values.shape[0] == facts.components != values.shape[-1]:
        values = np.moveaxis(values, 0, -1)
    return Samples(values, facts.precision, promise.is_ybr)


def _checked(facts: Codestream, promise: Promise) -> Codestream:
    said = (facts.rows, facts.columns, facts.components)
    promised = (promise.rows, promise.columns, promise.samples)
    if said != promised:
        raise DecodingError(
            f"the compressed frame is {said[0]} x {said[1]} x {said[2]} and its data set says "
            f"{promised[0]} x {promised[1]} x {promised[2]}; the sender must correct one of them"
        )
    if not 1 < facts.precision <= 16:
        raise DecodingError(f"{facts.precision} bits per sample are not supported (2 to 16 are)")
    return facts


def _rle(stream: bytes, promise: Promise) -> Samples:
    """PS3.5 annex G: one PackBits segment per byte of a sample, most significant first."""
    n_bytes = promise.bits_allocated // 8
    count, *offsets = struct.unpack_from("<16I", stream)
    if count != n_bytes * promise.samples:
        raise DecodingError(f"damaged RLE frame: {count} segments; send it again")
    starts = offsets[:count]
    n_pixels = promise.rows * promise.columns
    planes = np.empty((count, n_pixels), np.uint8)
    for plane, start, end in zip(planes, starts, [*starts[1:], len(stream)], strict=True):
        if not _RLE_HEADER_BYTES <= start < end <= len(stream):
            raise DecodingError("damaged RLE frame: segments overlap; send it again")
        # Writing into the plane caps a segment that would unpack to 64 times its size.
        unpacked = imagecodecs.packbits_decode(stream[start:end], out=plane)
        if len(unpacked) < n_pixels:
            raise DecodingError(f"truncated RLE frame: {len(unpacked)} of {n_pixels} bytes")
    values = planes.reshape(promise.samples, n_bytes, promise.rows, promise.columns)
    joined = np.zeros((promise.samples, promise.rows, promise.columns), f"u{n_bytes}")
    for byte in range(n_bytes):
        joined |= values[:, byte].astype(joined.dtype) << (8 * (n_bytes - 1 - byte))
    grid = np.moveaxis(joined, 0, -1) if promise.samples > 1 else joined[0]
    # RLE knows whole bytes only; in a true codestream its own precision is the authority.
    return Samples(grid, promise.bits_stored, promise.is_ybr)
