"""What the node reads of a data set before it accepts it: identity, routing attributes, wholeness.

In: the first bytes of an encoded data set, or the file when those do not reach the pixel data.
Out: a `Header`. Pixel data is never loaded; values are taken as they are encoded, because
converting all of them costs more than storing a small object. Raises CannotUnderstandError for
what no archive could keep either.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import _read_file_meta_info, data_element_generator, read_preamble
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID
from pydicom.valuerep import TEXT_VR_DELIMS

from node.errors import CannotUnderstandError
from node.identifiers import is_uid
from node.routes import ROUTABLE

# PS3.3 C.7.6.3, C.7.6.24, C.7.6.25: where pixel data stand.
_PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_FIRST_PIXEL_TAG = 0x7FE00000
_UNDEFINED_LENGTH = 0xFFFFFFFF
# PS3.5 7.1.2: these have a reserved field and a 32-bit length in Explicit VR.
_LONG_HEADER = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT", "UV"))
# A deflated data set is inflated this far at most: a bomb must not cost memory.
_INFLATED_BYTES = 1 << 24

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
_FILE_META_UIDS = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_ROUTED = tuple(keyword for keyword in ROUTABLE if tag_for_keyword(keyword) is not None)
_TAGS = {
    keyword: tag
    for keyword in (
        *_UIDS,
        *_ROUTED,
        *STUDY_KEYS,
        *SERIES_KEYS,
        "InstanceNumber",
        "SpecificCharacterSet",
        "ViewCodeSequence",
    )
    if (tag := tag_for_keyword(keyword)) is not None
}
_TAG_LIST: list[BaseTag | int] = [Tag(tag) for tag in _TAGS.values()]
_VRS = {tag: dictionary_VR(tag) for tag in _TAGS.values()}
# By tag; values as they are encoded.
_Elements = dict[int, Any]
# VRs that Specific Character Set governs (PS3.5 6.1.2.3).
_CHARACTER_SET_VRS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))

# What pydicom lets escape on damaged encodings.
_PARSER_ERRORS = (
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


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the File Meta Information of a Part 10 file says (PS3.10 7.1); "" where it is silent."""

    MediaStorageSOPClassUID: str
    MediaStorageSOPInstanceUID: str
    TransferSyntaxUID: str
    # Where the data set begins.
    dataset_offset: int


@dataclass(slots=True)
class _PixelElement:
    """Where the walk stopped."""

    tag: int = 0
    vr: str | None = None
    length: int = 0


def read_header(path: Path, offset: int, transfer_syntax_uid: str) -> Header:
    """Read the data set that begins at `offset` of a file. Raises CannotUnderstandError."""
    try:
        with path.open("rb") as stream:
            size_bytes = path.stat().st_size - offset
            stream.seek(offset)
            return _read(stream, size_bytes, UID(transfer_syntax_uid))
    except CannotUnderstandError:
        raise
    except _PARSER_ERRORS as error:
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
    except _PARSER_ERRORS as error:
        raise CannotUnderstandError(f"not a Part 10 file: {type(error).__name__}") from error
    if not uids[-1]:
        raise CannotUnderstandError("the File Meta Information has no Transfer Syntax UID")
    return FileMeta(uids[0], uids[1], uids[2], dataset_offset=stream.tell())


def parse_header(content: bytes, transfer_syntax_uid: str) -> Header:
    """Read a whole data set that is in memory. Raises CannotUnderstandError."""
    try:
        return _read(BytesIO(content), len(content), UID(transfer_syntax_uid))
    except CannotUnderstandError:
        raise
    except _PARSER_ERRORS as error:
        raise _unreadable(error) from error


def parse_head(head: bytes, size_bytes: int, transfer_syntax_uid: str) -> Header | None:
    """Read a data set of which only the first bytes are here; None when they do not suffice.

    `size_bytes`: of the whole data set. Raises CannotUnderstandError.
    """
    if len(head) >= size_bytes:
        return parse_header(head, transfer_syntax_uid)
    syntax = UID(transfer_syntax_uid)
    if syntax.is_transfer_syntax and syntax.is_deflated:
        return None
    try:
        elements, pixels = _walk(BytesIO(head), size_bytes, syntax)
    except CannotUnderstandError:
        raise
    except _PARSER_ERRORS:
        return None
    return _header(elements, pixels.tag in _PIXEL_DATA) if pixels.tag else None


def _unreadable(error: Exception) -> CannotUnderstandError:
    return CannotUnderstandError(f"the data set cannot be read: {type(error).__name__}")


def _read(stream: BinaryIO, size_bytes: int, syntax: UID) -> Header:
    if syntax.is_transfer_syntax and syntax.is_deflated:
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream.read(), _INFLATED_BYTES)
        stream, size_bytes = BytesIO(content), len(content)
    elements, pixels = _walk(stream, size_bytes, syntax)
    return _header(elements, pixels.tag in _PIXEL_DATA)


def _walk(stream: BinaryIO, size_bytes: int, syntax: UID) -> tuple[_Elements, _PixelElement]:
    """The elements before the pixel data, and where the walk stopped."""
    begin = stream.tell()
    implicit = syntax.is_transfer_syntax and syntax.is_implicit_VR
    little_endian = not syntax.is_transfer_syntax or syntax.is_little_endian
    pixels = _PixelElement()
    found = data_element_generator(
        stream, implicit, little_endian, stop_when=_stop_at(pixels), specific_tags=_TAG_LIST
    )
    elements = {int(element.tag): element for element in found}
    if pixels.tag in _PIXEL_DATA:
        _check_length(pixels, implicit, size_bytes - (stream.tell() - begin))
    return elements, pixels


def _stop_at(pixels: _PixelElement) -> Any:
    def stop(tag: int, vr: str | None, length: int) -> bool:
        if tag < _FIRST_PIXEL_TAG:
            return False
        pixels.tag, pixels.vr, pixels.length = int(tag), vr, length
        return True

    return stop


def _check_length(pixels: _PixelElement, implicit: bool, left_bytes: int) -> None:
    header_bytes = 12 if not implicit and pixels.vr in _LONG_HEADER else 8
    present = left_bytes - header_bytes
    if pixels.length != _UNDEFINED_LENGTH and pixels.length > present:
        raise CannotUnderstandError(
            f"truncated: pixel data declares {pixels.length} bytes, {max(present, 0)} arrived"
        )


def _header(elements: _Elements, has_pixels: bool) -> Header:
    encodings = _encodings(elements)
    uids = [_uid(elements, keyword) for keyword in _UIDS]
    return Header(
        study_uid=uids[0],
        series_uid=uids[1],
        sop_instance_uid=uids[2],
        sop_class_uid=uids[3],
        attributes=_attributes(elements) | {"HasPixelData": str(has_pixels).lower()},
        study=_columns(elements, STUDY_KEYS, encodings),
        series=_columns(elements, SERIES_KEYS, encodings),
        instance_number=_text(elements, "InstanceNumber")[:12],
    )


def _uid(elements: _Elements, keyword: str) -> str:
    value = _text(elements, keyword)
    if not is_uid(value):
        raise CannotUnderstandError(f"{keyword} is missing or not a UID")
    return value


def _attributes(elements: _Elements) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in _ROUTED:
        text = _text(elements, keyword)
        if text:
            found[keyword] = [part.strip() for part in text.split("\\")] if "\\" in text else text
    sequence = elements.get(_TAGS["ViewCodeSequence"])
    if sequence is not None:
        found |= _view(Dataset({sequence.tag: sequence}), found)
    return found


def _view(dataset: Dataset, found: dict[str, Any]) -> dict[str, Any]:
    if not dataset.ViewCodeSequence:
        return {}
    view = dataset.ViewCodeSequence[0]
    code = str(view.get("CodeValue", ""))
    modifiers = view.get("ViewModifierCodeSequence") or []
    return {
        "ViewCodeValue": code,
        "ViewPosition": found.get("ViewPosition") or _VIEW_BY_CODE.get(code, ""),
        "ViewModifierCodeValue": [str(item.get("CodeValue", "")) for item in modifiers],
    }


# PS3.16 CID 4014, in SNOMED CT and in the retired SNOMED RT values that older devices send.
_VIEW_BY_CODE = {
    "399162004": "CC",
    "R-10242": "CC",
    "399368009": "MLO",
    "R-10226": "MLO",
    "399260004": "ML",
    "R-10224": "ML",
    "399352003": "LM",
    "R-10228": "LM",
}


def _columns(elements: _Elements, widths: dict[str, int], encodings: list[str]) -> dict[str, str]:
    return {
        keyword: _text(elements, keyword, encodings)[:width] for keyword, width in widths.items()
    }


def _text(elements: _Elements, keyword: str, encodings: list[str] | None = None) -> str:
    """A value as text, several separated by backslashes; "" when absent or empty."""
    tag = _TAGS[keyword]
    element = elements.get(tag)
    # Not bytes: a sequence where none belongs.
    if element is None or not element.value or not isinstance(element.value, bytes):
        return ""
    value = element.value
    vr = _VRS[tag]
    if vr == "US":
        return str(int.from_bytes(value[:2], "little" if element.is_little_endian else "big"))
    if encodings and vr in _CHARACTER_SET_VRS and not value.isascii():
        text = decode_bytes(value, encodings, TEXT_VR_DELIMS)
    else:
        text = value.decode("ascii", errors="replace")
    return text.strip("\0 ").replace("\0", "")


def _encodings(elements: _Elements) -> list[str]:
    names = _text(elements, "SpecificCharacterSet")
    return convert_encodings(names.split("\\")) if names else ["iso8859"]
