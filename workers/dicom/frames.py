"""One frame of a data set, as stored: found, decompressed, colour reduced to luminance.

In: a data set with Pixel Data. Out: `StoredFrame`. What must hold: sizes are checked before
anything is allocated for them, and a frame shorter than declared is an error, never zeros.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import encaps
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, RLELossless

from node.errors import DecodingError
from workers.dicom.decompression import SUPPORTED, Promise, Samples, decompress

# The largest mammogram detectors give 27 Mpx and film digitisers 60; a hostile header says 4,294.
MAX_PIXELS = 200_000_000
_BITS_ALLOCATED = (8, 16)  # PS3.3 C.8.11.3.1.5 and C.8.5.6.1.13; 1 is SEG, 32 is dose
_GREY = ("MONOCHROME1", "MONOCHROME2")
_YBR = ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")
_PALETTE = ("Red", "Green", "Blue")
_LARGEST_BYTE = 255
# ITU-R BT.601, the luminance that YBR_FULL is defined with (PS3.3 C.7.6.3.1.2).
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame.

    `values`: (rows, columns). Grey: unsigned integers below 2**bits, stored values whose sign bit
    is not yet interpreted. Colour: float32 luminance from 0 to 1, and `bits` is 0.
    """

    values: NDArray[Any]
    bits: int

    @property
    def is_luminance(self) -> bool:
        """Whether there is nothing left to window."""
        return self.bits == 0


@dataclass(frozen=True, slots=True)
class _Layout:
    """Image Pixel attributes (PS3.3 C.7.6.3), checked."""

    rows: int
    columns: int
    samples: int
    frames: int
    bits_allocated: int
    bits_stored: int
    photometric: str

    @property
    def frame_bytes(self) -> int:
        n_samples = 2 * self.n_pixels if self.is_422 else self.samples * self.n_pixels
        return n_samples * self.bits_allocated // 8

    @property
    def n_pixels(self) -> int:
        return self.rows * self.columns

    @property
    def is_422(self) -> bool:
        return self.photometric.endswith("_422")


def frame_count(dataset: Dataset) -> int:
    """Return Number of Frames, 1 where it is absent (PS3.3 C.7.6.6). Raises DecodingError."""
    value = dataset.get("NumberOfFrames")
    return 1 if value in (None, "") else _positive(dataset, "NumberOfFrames")


def read_stored_frame(dataset: Dataset, transfer_syntax: UID, frame_number: int) -> StoredFrame:
    """Return frame `frame_number` (1-based). Raises DecodingError."""
    layout = _layout(dataset)
    if not 1 <= frame_number <= layout.frames:
        raise DecodingError(f"frame {frame_number} of {layout.frames} does not exist")
    data = dataset.get("PixelData")
    if not isinstance(data, bytes) or not data:
        raise DecodingError("the pixel data is empty; send the instance again")
    if transfer_syntax.is_encapsulated:
        samples = _encapsulated(dataset, data, transfer_syntax, layout, frame_number)
        return _reduced(dataset, samples, layout)
    return _reduced(dataset, _native(dataset, data, transfer_syntax, layout, frame_number), layout)


def _layout(dataset: Dataset) -> _Layout:
    layout = _Layout(
        rows=_positive(dataset, "Rows"),
        columns=_positive(dataset, "Columns"),
        samples=_positive(dataset, "SamplesPerPixel"),
        frames=frame_count(dataset),
        bits_allocated=_positive(dataset, "BitsAllocated"),
        bits_stored=_positive(dataset, "BitsStored"),
        photometric=str(dataset.get("PhotometricInterpretation") or "").strip(),
    )
    if layout.n_pixels > MAX_PIXELS:
        raise DecodingError(
            f"{layout.rows} x {layout.columns} pixels are more than the {MAX_PIXELS} that any "
            "breast image has; the header is wrong or hostile"
        )
    if layout.bits_allocated not in _BITS_ALLOCATED:
        raise DecodingError(
            f"{layout.bits_allocated} bits per sample: not a mammogram or ultrasound image"
        )
    if layout.bits_stored > layout.bits_allocated or layout.samples not in (1, 3):
        raise DecodingError(
            f"{layout.samples} samples of {layout.bits_stored} bits in {layout.bits_allocated}: "
            "no such image exists (PS3.3 C.7.6.3); the sender must correct the header"
        )
    return layout


def _positive(dataset: Dataset, keyword: str) -> int:
    value = dataset.get(keyword)
    if not isinstance(value, int) or value < 1:
        raise DecodingError(f"{keyword} is missing or not a positive number: not a readable image")
    return int(value)


def _encapsulated(
    dataset: Dataset, data: bytes, transfer_syntax: UID, layout: _Layout, frame_number: int
) -> Samples:
    if transfer_syntax not in SUPPORTED:
        raise DecodingError(
            f"transfer syntax {transfer_syntax.name} is not supported; "
            "let the sender negotiate Explicit VR Little Endian"
        )
    offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    try:
        stream = encaps.get_frame(
            data,
            frame_number - 1,
            number_of_frames=layout.frames,
            extended_offsets=offsets if all(offsets) else None,
        )
    except (ValueError, IndexError, EOFError, struct.error, AttributeError) as error:
        raise DecodingError(
            "the fragments of the compressed pixel data are damaged; send the instance again"
        ) from error
    promise = Promise(
        layout.rows,
        layout.columns,
        layout.samples,
        layout.bits_allocated,
        layout.bits_stored,
        is_ybr=layout.photometric in _YBR,
    )
    samples = decompress(stream, transfer_syntax, promise)
    return _aligned(dataset, samples, transfer_syntax, layout)


def _aligned(dataset: Dataset, samples: Samples, transfer_syntax: UID, layout: _Layout) -> Samples:
    """Stored values that end at High Bit moved to bit 0, as in native pixel data.

    A codestream that knows no more than Bits Stored has them there already; RLE knows only bytes.
    """
    lowest_bit = _lowest_bit(dataset, layout)
    whole_words = transfer_syntax == RLELossless or samples.precision > layout.bits_stored
    if layout.samples != 1 or not lowest_bit or not whole_words:
        return samples
    return replace(samples, values=samples.values >> lowest_bit, precision=layout.bits_stored)


def _native(
    dataset: Dataset, data: bytes, transfer_syntax: UID, layout: _Layout, frame_number: int
) -> Samples:
    declared = layout.frames * layout.frame_bytes
    if len(data) < declared:
        raise DecodingError(
            f"truncated: {layout.rows} x {layout.columns} x {layout.frames} frames need {declared} "
            f"bytes and {len(data)} are there; send the instance again"
        )
    order = "<" if transfer_syntax.is_little_endian else ">"
    count = layout.frame_bytes * 8 // layout.bits_allocated
    start = (frame_number - 1) * layout.frame_bytes
    # Eight-bit samples in OW are swapped in pairs by a big-endian writer (PS3.5 A.3).
    if order == ">" and layout.bits_allocated == 8 and dataset["PixelData"].VR == "OW":
        data = np.frombuffer(data[: len(data) // 2 * 2], "u2").byteswap().tobytes()
    kind = f"{order}u{layout.bits_allocated // 8}"
    flat = np.frombuffer(data, kind, count, start)
    is_ybr = layout.photometric in _YBR
    if layout.samples == 1:
        lowest_bit = _lowest_bit(dataset, layout)
        # Shifting by nothing would copy a mammogram of 27 MB.
        values = flat >> lowest_bit if lowest_bit else flat
        return Samples(values.reshape(layout.rows, layout.columns), layout.bits_stored)
    if layout.is_422:
        luma = flat.reshape(-1, 4)[:, :2].reshape(layout.rows, layout.columns)  # Y1 Y2 CB CR
        return Samples(luma, layout.bits_stored, is_ybr)
    if dataset.get("PlanarConfiguration") == 1:
        planes = flat.reshape(3, layout.rows, layout.columns)
        return Samples(np.moveaxis(planes, 0, -1), layout.bits_stored, is_ybr)
    return Samples(flat.reshape(layout.rows, layout.columns, 3), layout.bits_stored, is_ybr)


def _lowest_bit(dataset: Dataset, layout: _Layout) -> int:
    high_bit = dataset.get("HighBit")
    if not isinstance(high_bit, int):
        return 0
    return max(0, min(high_bit, layout.bits_allocated - 1) + 1 - layout.bits_stored)


def _reduced(dataset: Dataset, samples: Samples, layout: _Layout) -> StoredFrame:
    values = samples.values
    if layout.photometric in _GREY and values.ndim == 2:
        # What lies above Bits Stored in old objects is overlay planes (PS3.5 8.1.2).
        mask = (1 << samples.precision) - 1
        stored = values.astype(np.uint16, copy=False)
        return StoredFrame(stored & mask if stored.max() > mask else stored, samples.precision)
    if layout.photometric == "PALETTE COLOR" and values.ndim == 2:
        return StoredFrame(_through_palette(dataset, values), 0)
    if layout.samples != 3:
        raise DecodingError(
            f"PhotometricInterpretation {layout.photometric!r} with {layout.samples} sample per "
            "pixel is not supported; let the sender store MONOCHROME2"
        )
    if values.ndim == 3 and samples.is_ybr:
        values = values[..., 0]
    return StoredFrame(_luminance(values, samples.precision), 0)


def _through_palette(dataset: Dataset, values: NDArray[Any]) -> NDArray[np.float32]:
    try:
        colours = apply_color_lut(values, dataset)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise DecodingError("the colour palette is damaged; send the instance again") from error
    bits = 8 if _holds_bytes(dataset) else 8 * colours.dtype.itemsize
    return _luminance(colours[..., :3], bits)


def _holds_bytes(dataset: Dataset) -> bool:
    """Whether the palette's words are bytes, as older devices wrote them, whatever it says.

    Words up to 255 of 65535 would be black all over (PS3.3 C.7.6.3.1.6).
    """
    tables = [dataset.get(f"{each}PaletteColorLookupTableData") for each in _PALETTE]
    words = [np.frombuffer(table[: len(table) // 2 * 2], "<u2") for table in tables if table]
    return bool(words) and all(table.max(initial=0) <= _LARGEST_BYTE for table in words)


def _luminance(values: NDArray[Any], bits: int) -> NDArray[np.float32]:
    """(rows, columns, 3) RGB or (rows, columns) luma, integer -> float32 from 0 to 1."""
    weighted = values @ _LUMINANCE if values.ndim == 3 else values.astype(np.float32)
    grey: NDArray[np.float32] = np.clip(weighted / np.float32((1 << bits) - 1), 0, 1)
    return grey
