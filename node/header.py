"""What the node reads of a data set before it accepts it: identity, routing attributes, wholeness.

Pixel data is never loaded. Raises CannotUnderstandError for what no archive could keep either.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID

from node.errors import CannotUnderstandError
from node.identifiers import is_uid
from node.routes import ROUTABLE

_PIXEL_DATA = ((0x7FE0, 0x0010), (0x7FE0, 0x0008), (0x7FE0, 0x0009))  # PS3.3 C.7.6.3, .24, .25
_VR_WITH_LONG_LENGTH = (b"OB", b"OW", b"OF", b"OD", b"UN")
_UNDEFINED_LENGTH = 0xFFFFFFFF


# What pydicom lets escape on damaged encodings; values are read lazily, so any access may raise.
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
)


@dataclass(frozen=True, slots=True)
class Header:
    """Identity and routing attributes of one instance."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    attributes: dict[str, Any]


def read_header(path: Path) -> Header:
    """Read a Part 10 file up to its pixel data. Raises CannotUnderstandError."""
    try:
        return _read(path)
    except CannotUnderstandError:
        raise
    except _PARSER_ERRORS as error:
        raise CannotUnderstandError(
            f"the data set cannot be read: {type(error).__name__}"
        ) from error


def _read(path: Path) -> Header:
    with path.open("rb") as stream:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True)
        has_pixels = _check_pixel_element(stream, path, dataset)
    return Header(
        study_uid=_uid(dataset, "StudyInstanceUID"),
        series_uid=_uid(dataset, "SeriesInstanceUID"),
        sop_instance_uid=_uid(dataset, "SOPInstanceUID"),
        sop_class_uid=_uid(dataset, "SOPClassUID"),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        attributes=_attributes(dataset) | {"HasPixelData": str(has_pixels).lower()},
    )


def _uid(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "").strip("\0 ")
    if not is_uid(value):
        raise CannotUnderstandError(f"{keyword} is missing or not a UID")
    return value


def _attributes(dataset: Dataset) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in ROUTABLE:
        value = dataset.get(keyword)
        if value in (None, ""):
            continue
        found[keyword] = [str(v) for v in value] if _is_multiple(value) else str(value)
    view = dataset.get("ViewCodeSequence")
    if view:
        found["ViewCodeValue"] = str(view[0].get("CodeValue", ""))
        found.setdefault("ViewPosition", _VIEW_BY_CODE.get(found["ViewCodeValue"], ""))
        modifiers = view[0].get("ViewModifierCodeSequence") or []
        found["ViewModifierCodeValue"] = [str(item.get("CodeValue", "")) for item in modifiers]
    return found


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


def _is_multiple(value: Any) -> bool:
    return isinstance(value, (list, pydicom.multival.MultiValue))


def _check_pixel_element(stream: BinaryIO, path: Path, dataset: Dataset) -> bool:
    """Whether there is pixel data; refuses one that the file does not hold to its end.

    pydicom has stopped before the pixel element, so its header is read here: tag, VR, length
    (PS3.5 7.1).
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax.is_deflated:
        return "PixelData" in pydicom.dcmread(path)
    endian = "<" if syntax.is_little_endian else ">"
    element = stream.read(12)
    if len(element) < 8:
        return False
    group, number = struct.unpack(endian + "HH", element[:4])
    if (group, number) not in _PIXEL_DATA:
        return False
    is_long = element[4:6] in _VR_WITH_LONG_LENGTH and not syntax.is_implicit_VR
    (length,) = struct.unpack(endian + "I", element[8:12] if is_long else element[4:8])
    present = path.stat().st_size - stream.tell() + (0 if is_long else 4)
    if length != _UNDEFINED_LENGTH and length > present:
        raise CannotUnderstandError(
            f"truncated: pixel data declares {length} bytes and {present} arrived; send it again"
        )
    return True
