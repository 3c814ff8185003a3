"""What a compressed frame says of itself, read before any decoder allocates for it.

A few bytes can claim 65535 x 65535 pixels. A frame whose own size is not the one of the data set is
refused here, so that the size that was checked is the size that gets decoded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from node.errors import DecodingError

_JPEG_START = b"\xff\xd8"
_JPEG2000_START = b"\xff\x4f\xff\x51"  # SOC and SIZ always come first (ISO/IEC 15444-1 A.3)
# Start of frame: ISO/IEC 10918-1 table B.1 without DHT, JPG and DAC; 0xF7 is ISO/IEC 14495-1 C.1.
_START_OF_FRAME = {
    0xC0,
    0xC1,
    0xC2,
    0xC3,
    0xC5,
    0xC6,
    0xC7,
    0xC9,
    0xCA,
    0xCB,
    0xCD,
    0xCE,
    0xCF,
    0xF7,
}
_START_OF_SCAN = 0xDA
_ADOBE = 0xEE
_JFIF = 0xE0


@dataclass(frozen=True, slots=True)
class Codestream:
    """Size of one frame: pixels, components, bits per component.

    `is_ybr`: the stream itself says that its three components are YCbCr (True) or not (False);
    None where it leaves that to the data set.
    """

    rows: int
    columns: int
    components: int
    precision: int
    is_ybr: bool | None = None


def read_jpeg(stream: bytes) -> Codestream:
    """Read the frame header of a JPEG or JPEG-LS stream. Raises DecodingError."""
    if not stream.startswith(_JPEG_START):
        raise DecodingError("not a JPEG stream: it does not begin with an SOI marker")
    at, is_ybr = 2, None
    while at + 4 <= len(stream):
        if stream[at] != 0xFF:
            break
        marker = stream[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", stream, at + 2)
        segment = stream[at + 4 : at + 2 + length]
        if marker in _START_OF_FRAME and len(segment) >= 6:
            precision, rows, columns, components = struct.unpack_from(">BHHB", segment)
            return Codestream(rows, columns, components, precision, is_ybr)
        if marker == _START_OF_SCAN or length < 2:
            break
        is_ybr = _colour_from(marker, segment, is_ybr)
        at += 2 + length
    raise DecodingError("damaged JPEG stream: no frame header before the first scan")


def _colour_from(marker: int, segment: bytes, known: bool | None) -> bool | None:
    if marker == _ADOBE and segment.startswith(b"Adobe") and len(segment) >= 12:
        return segment[11] == 1  # transform: 0 none, 1 YCbCr
    if marker == _JFIF and segment.startswith(b"JFIF") and known is None:
        return True  # JFIF is YCbCr by definition
    return known


def read_jpeg2000(stream: bytes) -> Codestream:
    """Read the SIZ segment of a JPEG 2000 or HTJ2K stream (A.5.1). Raises DecodingError."""
    # Some devices send a whole JP2 file (boxes first), against PS3.5 8.2.4.
    at = stream.find(_JPEG2000_START)
    if at < 0 or len(stream) < at + 43:
        raise DecodingError("damaged JPEG 2000 stream: no SIZ segment")
    right, bottom, left, top = struct.unpack_from(">IIII", stream, at + 8)
    components, depth = struct.unpack_from(">HB", stream, at + 40)
    return Codestream(bottom - top, right - left, components, (depth & 0x7F) + 1)
