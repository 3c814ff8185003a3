"""The elements of an encoded data set that stand before its pixel data, as they are encoded.

In: the data set, or its first bytes. Out: the wanted elements, values not converted, and where the
walk stopped. Nearly every header is a plain sequence of elements in little endian, which is walked
here in a millisecond less than by pydicom; what is unusual in any way (undefined lengths, other
encodings, damage) is pydicom's.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from node.errors import CannotUnderstandError

# PS3.3 C.7.6.3, C.7.6.24, C.7.6.25: where pixel data stand.
_PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_FIRST_PIXEL_TAG = 0x7FE00000
_UNDEFINED_LENGTH = 0xFFFFFFFF
# PS3.5 7.1.2: these have a reserved field and a 32-bit length in Explicit VR.
_LONG_HEADER = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT", "UV"))
_LONG = frozenset(vr.encode() for vr in _LONG_HEADER)
_SHORT = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()  # PS3.5 7.1.2
)
# Group 0002 has no place in a data set, FFFE only in sequences.
_FIRST_TAG, _FIRST_ITEM_TAG = 0x00030000, 0xFFFE0000
_EXPLICIT, _IMPLICIT = struct.Struct("<HH2sH"), struct.Struct("<HHI")
_LENGTH = struct.Struct("<I")


# PS3.5 7.5.1: items, and the ends of items and sequences.
_ITEM_GROUP, _SEQUENCE_DELIMITER = 0xFFFE, 0xE0DD
# Of sequences around an element; deeper ones are an attack.
_DEEPEST = 16

Path = tuple[int, ...]
"""The tags of the sequences around an element, from without, and its own."""

Elements = Mapping[int, Any]
"""By tag: the value as it is encoded, of a sequence its items; else pydicom's element of one."""


@dataclass(slots=True)
class PixelElement:
    """Where the walk stopped."""

    tag: int = 0
    vr: str | None = None
    length: int = 0

    @property
    def is_pixel_data(self) -> bool:
        """Whether that are pixels, and not the end or something behind them."""
        return self.tag in _PIXEL_DATA


class Encoding(NamedTuple):
    """What a transfer syntax says about the encoding of a data set."""

    implicit: bool
    little_endian: bool
    deflated: bool


class Wanted:
    """Tags that are looked for."""

    def __init__(self, tags: Mapping[str, int], sequences: frozenset[int]) -> None:
        self.tags = frozenset(tags.values())
        self.sequences = sequences
        self.as_list: list[BaseTag | int] = [Tag(tag) for tag in tags.values()]


@lru_cache(maxsize=256)
def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Of a private transfer syntax: Explicit VR Little Endian."""
    syntax = UID(transfer_syntax_uid)
    if not syntax.is_transfer_syntax:
        return Encoding(implicit=False, little_endian=True, deflated=False)
    return Encoding(syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)


def walk_quickly(
    head: bytes, size_bytes: int, encoding: Encoding, wanted: Wanted
) -> tuple[dict[int, Any], PixelElement] | None:
    """The elements in `head`; None when only pydicom can tell.

    `size_bytes`: of the whole data set. Raises CannotUnderstandError.
    """
    if encoding.deflated or not encoding.little_endian:
        return None
    found: dict[int, Any] = {}
    position, end, implicit = 0, len(head), encoding.implicit
    tags = wanted.tags
    while position + 8 <= end:
        if implicit:
            group, number, length = _IMPLICIT.unpack_from(head, position)
            vr, start = b"", position + 8
        else:
            group, number, vr, length = _EXPLICIT.unpack_from(head, position)
            start = position + 8
            if vr not in _SHORT:
                if vr not in _LONG or position + 12 > end:
                    return None
                (length,) = _LENGTH.unpack_from(head, start)
                start += 4
        tag = group << 16 | number
        if not _FIRST_TAG <= tag < _FIRST_PIXEL_TAG:
            if not _FIRST_PIXEL_TAG <= tag < _FIRST_ITEM_TAG:
                return None
            pixels = PixelElement(tag, vr.decode() or None, length)
            check_length(pixels, size_bytes - position, implicit)
            return found, pixels
        position = start + length
        if position > end:
            return None
        if tag in tags:
            misfits = not implicit and (vr == b"SQ") is not (tag in wanted.sequences)
            if misfits or tag in found:
                return None
            found[tag] = head[start:position]
    return (found, PixelElement()) if position == end == size_bytes else None


def walk(
    stream: BinaryIO, size_bytes: int, encoding: Encoding, wanted: Wanted
) -> tuple[dict[int, Any], PixelElement]:
    """The same with pydicom. Raises CannotUnderstandError, and what pydicom lets escape."""
    begin = stream.tell()
    pixels = PixelElement()

    def stop(tag: int, vr: str | None, length: int) -> bool:
        if tag < _FIRST_PIXEL_TAG:
            return False
        pixels.tag, pixels.vr, pixels.length = int(tag), vr, length
        return True

    found = data_element_generator(
        stream,
        encoding.implicit,
        encoding.little_endian,
        stop_when=stop,
        specific_tags=wanted.as_list,
    )
    elements = {int(each.tag): _encoded(each, wanted) for each in found}
    check_length(pixels, size_bytes - (stream.tell() - begin), encoding.implicit)
    return elements, pixels


def path_of(*keywords: str) -> Path:
    """The tags of sequences, from without, and of an element."""
    return tuple(Tag(keyword) for keyword in keywords)


def values_at(
    content: bytes, encoding: Encoding, paths: Collection[Path]
) -> dict[Path, list[bytes]]:
    """The values of the elements at these paths, of all items, as they are encoded and in order.

    In a twentieth of pydicom's time, which others wait for; nothing is recursive. `content`: of the
    whole data set, inflated. Raises ValueError, struct.error.
    """
    leading = {path[:depth] for path in paths for depth in range(1, len(path))}
    found: dict[Path, list[bytes]] = {path: [] for path in paths}
    order = "<" if encoding.little_endian else ">"
    explicit, implicit = struct.Struct(f"{order}HH2sH"), struct.Struct(f"{order}HHI")
    here: Path = ()
    # Of the sequences around: where each ends, and whether it is encoded without VRs.
    around: list[tuple[float, bool]] = []
    position, end, without_vrs = 0, len(content), encoding.implicit
    while position < end:
        while around and position >= around[-1][0]:
            around.pop()
            here, without_vrs = here[:-1], around[-1][1] if around else encoding.implicit
        group, number, length = implicit.unpack_from(content, position)
        start, vr = position + 8, b""
        if group == _ITEM_GROUP:
            # An item has no end of its own here: its elements stand in its sequence.
            position = start
            if number == _SEQUENCE_DELIMITER:
                if not around or around[-1][0] != math.inf:
                    raise ValueError("a sequence of defined length is ended")
                around[-1] = (position, False)
            continue
        if not without_vrs:
            _, _, vr, length = explicit.unpack_from(content, position)
            if vr in _LONG:
                length, start = implicit.unpack_from(content, position + 4)[2], position + 12
            elif vr not in _SHORT:
                raise ValueError("an element without a known VR")
        path = (*here, group << 16 | number)
        if length == _UNDEFINED_LENGTH or path in leading:
            undefined = length == _UNDEFINED_LENGTH
            # PS3.5 6.2.2: what is UN and has no length is a sequence without VRs.
            without_vrs = without_vrs or vr == b"UN"
            around.append((math.inf if undefined else start + length, without_vrs))
            if len(around) > _DEEPEST:
                raise ValueError(f"sequences in sequences, deeper than {_DEEPEST}")
            here, position = path, start
            continue
        position = start + length
        if position > end:
            raise ValueError("truncated")
        if path in found:
            found[path].append(content[start:position])
    return found


def _encoded(element: Any, wanted: Wanted) -> Any:
    plain = isinstance(element.value, bytes) and element.tag not in wanted.sequences
    return element.value if plain else element


def check_length(pixels: PixelElement, left_bytes: int, implicit: bool) -> None:
    """Refuse pixel data that are shorter than they say. Raises CannotUnderstandError."""
    if not pixels.is_pixel_data or pixels.length == _UNDEFINED_LENGTH:
        return
    header_bytes = 12 if not implicit and pixels.vr in _LONG_HEADER else 8
    present = left_bytes - header_bytes
    if pixels.length > present:
        raise CannotUnderstandError(
            f"truncated: pixel data declares {pixels.length} bytes, {max(present, 0)} arrived"
        )
