"""What the node reads of a data set before it accepts it: identity, routing attributes, wholeness.

In: the first bytes of an encoded data set, or the file when those do not reach the pixel data.
Out: a `Header`. Pixel data is never loaded; values are taken as they are encoded, because
converting all of them costs more than storing a small object. Raises CannotUnderstandError for
what no archive could keep either.
"""

from __future__ import annotations

import re
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_preamble, read_sequence
from pydicom.valuerep import TEXT_VR_DELIMS

from node.charsets import teach_pydicom
from node.elements import (
    Elements,
    Encoding,
    PixelElement,
    Wanted,
    encoding_of,
    walk,
    walk_quickly,
)
from node.errors import CannotUnderstandError
from node.identifiers import is_uid
from node.routes import ROUTABLE
from node.views import VIEW_BY_CODE

teach_pydicom()

# Of a deflated data set so much is kept when it is inflated, and the rest counted, up to a GiB, in
# pieces: a bomb must cost neither memory nor a processor for minutes.
_INFLATED_BYTES, _COUNTED_BYTES, _PIECE_BYTES = 1 << 24, 1 << 30, 1 << 20

# What is read of a file before the rest of it.
_HEAD_BYTES = 1 << 16

# What C-FIND answers from, and the width of its column.
STUDY_KEYS = {
    "PatientID": 64,
    "IssuerOfPatientID": 64,
    "PatientName": 324,
    "PatientBirthDate": 8,
    "PatientSex": 16,
    "StudyDate": 8,
    "StudyTime": 16,
    "AccessionNumber": 16,
    "StudyID": 16,
    "StudyDescription": 64,
    "ReferringPhysicianName": 324,
}
SERIES_KEYS = {
    "Modality": 16,
    "SeriesNumber": 12,
    "SeriesDescription": 64,
    "SeriesDate": 8,
    "SeriesTime": 16,
    "BodyPartExamined": 16,
    "Laterality": 16,
}
_DATES = frozenset(key for key in (*STUDY_KEYS, *SERIES_KEYS) if key.endswith("Date"))
_FILE_META_UIDS = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_ROUTED = tuple(keyword for keyword in ROUTABLE if tag_for_keyword(keyword) is not None)
# Of which the codes are kept.
_SEQUENCES = ("ViewCodeSequence", "AnatomicRegionSequence")
_TAGS = {
    keyword: tag
    for keyword in (
        *_UIDS,
        *_ROUTED,
        *STUDY_KEYS,
        *SERIES_KEYS,
        "InstanceNumber",
        "SpecificCharacterSet",
        "TransferSyntaxUID",
        *_SEQUENCES,
    )
    if (tag := tag_for_keyword(keyword)) is not None
}
_VRS = {tag: dictionary_VR(tag) for tag in _TAGS.values()}
_ALIKE_TAGS = tuple(
    _TAGS[keyword]
    for keyword in (
        *dict.fromkeys((*_ROUTED, *STUDY_KEYS, *SERIES_KEYS)),
        "SpecificCharacterSet",
        *_SEQUENCES,
    )
)
_WANTED = Wanted(_TAGS, sequences=frozenset(_TAGS[keyword] for keyword in _SEQUENCES))
# Values of an element that is no sequence, and of none.
_PLAIN = frozenset((bytes, type(None)))
# Values that are longer than this together are not remembered: no sender may fill the memory.
_REMEMBERED = 4096
# VRs that Specific Character Set governs (PS3.5 6.1.2.3).
_CHARACTER_SET_VRS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
# Begins the escape sequences of ISO 2022, by which Japanese names are written in seven bits.
_ESCAPE = b"\x1b"
# pydicom 3.0.2 leaves those in the text that begin Chinese (IR 58), and those of sets that Specific
# Character Set does not name. ISO 2022: intermediate bytes, then a final one.
_ESCAPE_SEQUENCE = re.compile(r"\x1b[\x20-\x2f]+[\x30-\x7e]")

# What pydicom lets escape on damaged encodings.
PARSER_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    NotImplementedError,
    RecursionError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Header:
    """Identity and routing attributes of one instance."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    # Never patient data.
    attributes: dict[str, Any]
    # Columns of the study and the series; patient data.
    study: dict[str, str]
    series: dict[str, str]
    instance_number: str
    # What the data set itself says, where no data set should (PS3.10 7.1); "" as a rule.
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the File Meta Information of a Part 10 file says (PS3.10 7.1); "" where it is silent."""

    MediaStorageSOPClassUID: str
    MediaStorageSOPInstanceUID: str
    TransferSyntaxUID: str
    # Where the data set begins.
    dataset_offset: int


def read_header(path: Path, offset: int, transfer_syntax_uid: str) -> Header:
    """Read the data set that begins at `offset` of a file. Raises CannotUnderstandError."""
    try:
        with path.open("rb") as stream:
            size_bytes = path.stat().st_size - offset
            stream.seek(offset)
            # As it is read when it comes by network: what is odd in one way is so in the other.
            header = parse_head(stream.read(_HEAD_BYTES), size_bytes, transfer_syntax_uid)
            if header is not None:
                return header
            stream.seek(offset)
            return _read(stream, size_bytes, encoding_of(transfer_syntax_uid))
    except CannotUnderstandError:
        raise
    except PARSER_ERRORS as error:
        raise _unreadable(error) from error


def read_file(path: Path) -> tuple[Header, str]:
    """The header of a Part 10 file and its Transfer Syntax UID. Raises CannotUnderstandError."""
    try:
        with path.open("rb") as stream:
            meta = read_file_meta(stream)
    except OSError as error:
        raise _unreadable(error) from error
    return read_header(path, meta.dataset_offset, meta.TransferSyntaxUID), meta.TransferSyntaxUID


def read_file_meta(stream: BinaryIO) -> FileMeta:
    """Read preamble and File Meta Information of a Part 10 file. Raises CannotUnderstandError."""
    try:
        read_preamble(stream, force=False)
        found = _read_file_meta_info(stream)
        uids = [str(found.get(keyword) or "") for keyword in _FILE_META_UIDS]
    except PARSER_ERRORS as error:
        raise CannotUnderstandError(f"not a Part 10 file: {type(error).__name__}") from error
    if not uids[-1]:
        raise CannotUnderstandError("the File Meta Information has no Transfer Syntax UID")
    return FileMeta(uids[0], uids[1], uids[2], dataset_offset=stream.tell())


def parse_header(content: bytes, transfer_syntax_uid: str) -> Header:
    """Read a whole data set that is in memory. Raises CannotUnderstandError."""
    encoding = encoding_of(transfer_syntax_uid)
    try:
        quick = walk_quickly(content, len(content), encoding, _WANTED)
        if quick is not None:
            return _header(*quick, encoding)
        return _read(BytesIO(content), len(content), encoding)
    except CannotUnderstandError:
        raise
    except PARSER_ERRORS as error:
        raise _unreadable(error) from error


def parse_head(head: bytes, size_bytes: int, transfer_syntax_uid: str) -> Header | None:
    """Read a data set of which only the first bytes are here; None when they do not suffice.

    `size_bytes`: of the whole data set. Raises CannotUnderstandError.
    """
    if len(head) >= size_bytes:
        return parse_header(head, transfer_syntax_uid)
    encoding = encoding_of(transfer_syntax_uid)
    if encoding.deflated:
        return None
    try:
        elements, pixels = walk_quickly(head, size_bytes, encoding, _WANTED) or walk(
            BytesIO(head), size_bytes, encoding, _WANTED
        )
    except CannotUnderstandError:
        raise
    except PARSER_ERRORS:
        return None
    return _header(elements, pixels, encoding) if pixels.tag else None


def _unreadable(error: Exception) -> CannotUnderstandError:
    return CannotUnderstandError(f"the data set cannot be read: {type(error).__name__}")


def _read(stream: BinaryIO, size_bytes: int, encoding: Encoding) -> Header:
    if encoding.deflated:
        content, size_bytes = inflated(stream)
        stream = BytesIO(content)
    return _header(*walk(stream, size_bytes, encoding, _WANTED), encoding)


def inflated(stream: BinaryIO, most_bytes: int = _INFLATED_BYTES) -> tuple[bytes, int]:
    """The first `most_bytes` of a deflated data set, and its size, inflated. Raises zlib.error."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    head, size_bytes = bytearray(), 0
    while deflated := inflater.unconsumed_tail or stream.read(_PIECE_BYTES):
        piece = inflater.decompress(deflated, _PIECE_BYTES)
        head += piece[: max(0, most_bytes - size_bytes)]
        size_bytes += len(piece)
        if inflater.eof:
            break
        if size_bytes > _COUNTED_BYTES:
            # Whether it is whole is not looked at: no length of pixel data is longer than this.
            return bytes(head), size_bytes + (1 << 32)
    return bytes(head), size_bytes


def _header(elements: Elements, pixels: PixelElement, encoding: Encoding) -> Header:
    uids = [_uid(elements, keyword) for keyword in _UIDS]
    alike = _alike(elements, encoding)
    return Header(
        study_uid=uids[0],
        series_uid=uids[1],
        sop_instance_uid=uids[2],
        sop_class_uid=uids[3],
        attributes=alike.attributes | {"HasPixelData": str(pixels.is_pixel_data).lower()},
        study=alike.study,
        series=alike.series,
        instance_number=_text(elements, "InstanceNumber")[:12],
        transfer_syntax_uid=_text(elements, "TransferSyntaxUID"),
    )


@dataclass(frozen=True, slots=True)
class _Alike:
    """What the images of a series have in common, as a rule."""

    attributes: dict[str, Any]
    study: dict[str, str]
    series: dict[str, str]


def _alike(elements: Elements, encoding: Encoding) -> _Alike:
    """Decoded once for all images that have it from the same bytes: a third of a header's time."""
    values = tuple(map(elements.get, _ALIKE_TAGS))
    if _PLAIN.issuperset(map(type, values)) and len(b"".join(filter(None, values))) < _REMEMBERED:
        return _remembered(values, encoding)
    return _decoded(elements, encoding)


@lru_cache(maxsize=64)
def _remembered(values: tuple[bytes | None, ...], encoding: Encoding) -> _Alike:
    pairs = zip(_ALIKE_TAGS, values, strict=True)
    return _decoded({tag: value for tag, value in pairs if value is not None}, encoding)


def _decoded(elements: Elements, encoding: Encoding) -> _Alike:
    encodings = _encodings(elements)
    return _Alike(
        attributes=_attributes(elements, encoding),
        study=_columns(elements, STUDY_KEYS, encodings),
        series=_columns(elements, SERIES_KEYS, encodings),
    )


def _uid(elements: Elements, keyword: str) -> str:
    value = _text(elements, keyword)
    if not is_uid(value):
        raise CannotUnderstandError(f"{keyword} is missing or not a UID")
    return value


def _attributes(elements: Elements, encoding: Encoding) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in _ROUTED:
        if _VRS[_TAGS[keyword]] == "US":
            text = _number(elements, keyword, encoding.little_endian)
        else:
            text = _text(elements, keyword)
        if text:
            found[keyword] = [part.strip() for part in text.split("\\")] if "\\" in text else text
    for keyword, read in (("ViewCodeSequence", _view), ("AnatomicRegionSequence", _region)):
        with suppress(*PARSER_ERRORS):  # damage is no reason to refuse
            found |= read(_first_item(elements, keyword, encoding), found)
    return found


def _first_item(elements: Elements, keyword: str, encoding: Encoding) -> Dataset:
    """Of a sequence; an empty data set where there is none. Raises what pydicom lets escape."""
    sequence = elements.get(_TAGS[keyword])
    if not sequence:
        return Dataset()
    if isinstance(sequence, bytes):
        implicit, little_endian, _ = encoding
        stream, size_bytes = BytesIO(sequence), len(sequence)
        items = read_sequence(stream, implicit, little_endian, size_bytes, "iso8859")
    else:
        items = Dataset({sequence.tag: sequence})[sequence.tag].value
    return items[0] if items else Dataset()


def _region(region: Dataset, _found: dict[str, Any]) -> dict[str, Any]:
    code = region.get("CodeValue")
    return {"AnatomicRegionCodeValue": str(code)} if code else {}


def _view(view: Dataset, found: dict[str, Any]) -> dict[str, Any]:
    if not view:
        return {}
    code = str(view.get("CodeValue", ""))
    modifiers = view.get("ViewModifierCodeSequence") or []
    return {
        "ViewCodeValue": code,
        "ViewPosition": found.get("ViewPosition") or VIEW_BY_CODE.get(code, ""),
        "ViewModifierCodeValue": [str(item.get("CodeValue", "")) for item in modifiers],
    }


def _columns(elements: Elements, widths: dict[str, int], encodings: list[str]) -> dict[str, str]:
    found = {
        keyword: _text(elements, keyword, encodings) if _TAGS[keyword] in elements else ""
        for keyword in widths
    }
    for keyword in _DATES & found.keys():
        # Old devices write YYYY.MM.DD (PS3.5 table 6.2-1, note), which has no place in a range.
        found[keyword] = found[keyword].replace(".", "")
    return {keyword: text[: widths[keyword]] for keyword, text in found.items()}


def _text(elements: Elements, keyword: str, encodings: list[str] | None = None) -> str:
    """A value as text, several separated by backslashes; "" when absent or empty."""
    tag = _TAGS[keyword]
    value = elements.get(tag)
    # Not bytes: a sequence where none belongs.
    if not value or not isinstance(value, bytes):
        return ""
    foreign = not value.isascii() or _ESCAPE in value
    if encodings and foreign and _VRS[tag] in _CHARACTER_SET_VRS:
        text = without_escapes(decode_bytes(value, encodings, TEXT_VR_DELIMS))
    else:
        text = value.decode("ascii", errors="replace")
    return text.strip("\0 ").replace("\0", "")


def without_escapes(text: str) -> str:
    """Text without the escape sequences that decoding has left in it: UTF-8 has none."""
    return _ESCAPE_SEQUENCE.sub("", text)


def _number(elements: Elements, keyword: str, little_endian: bool) -> str:
    """The first value of a US element as text; "" when absent or empty."""
    value = elements.get(_TAGS[keyword])
    if not value or not isinstance(value, bytes):
        return ""
    return str(int.from_bytes(value[:2], "little" if little_endian else "big"))


def _encodings(elements: Elements) -> list[str]:
    names = _text(elements, "SpecificCharacterSet")
    return convert_encodings(names.split("\\")) if names else ["iso8859"]
