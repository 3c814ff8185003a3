"""The Image Library of the Mammography CAD report (PS3.16 TID 4020).

In: image headers as received. Out: one entry per image, in the order given. What must hold: a row
whose attribute the image has is there (all conditions of the template read so); an attribute that
is empty or cannot be read counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from highdicom.sr import ContentItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import DA, TM

from workers.dicom import cad_codes
from workers.dicom.anatomy import read_laterality, read_view
from workers.dicom.codes import MILLIMETER
from workers.dicom.content_items import (
    ACQUISITION_CONTEXT,
    CONCEPT_MODIFIER,
    CONTAINS,
    clock,
    code,
    day,
    image,
    number,
    text,
)
from workers.dicom.inheritance import (
    pair_of,
    reference_to,
    standard_form,
    without_leap_second,
)

_DCM = codes.DCM
_LONGEST_CODE = 16  # SH: Code Value and Coding Scheme Designator
_LONGEST_MEANING = 64  # LO
_Value = TypeVar("_Value", DA, TM)


def library_entry(source: Dataset, frame_number: int) -> ContentItem:
    """One mammogram with the rows 2 to 12 that its header allows."""
    children = [
        *_laterality(source),
        *_view(source),
        *_orientation(source),
        *_times(source),
        *_spacing(source),
    ]
    return image(CONTAINS, None, reference_to(source, frame_number), *children)


def _laterality(source: Dataset) -> Iterator[ContentItem]:
    both = source.get("ImageLaterality") == "B"
    side = cad_codes.SIDE.get("B" if both else read_laterality(source) or "")
    if side is not None:
        yield code(ACQUISITION_CONTEXT, _DCM.ImageLaterality, side)


def _view(source: Dataset) -> Iterator[ContentItem]:
    """View Code Sequence (0054,0220) with its modifiers; without it, View Position."""
    coded = next(iter(source.get("ViewCodeSequence") or ()), Dataset())
    view = _code_of(coded, cad_codes.VIEWS)
    if view is None:
        view = cad_codes.VIEW_OF_POSITION.get(read_view(source) or "")
    if view is None:
        return
    given = (
        _code_of(item, cad_codes.VIEW_MODIFIERS)
        for item in coded.get("ViewModifierCodeSequence") or ()
    )
    modifiers = (
        code(CONCEPT_MODIFIER, _DCM.ImageViewModifier, modifier)
        for modifier in given
        if modifier is not None
    )
    yield code(ACQUISITION_CONTEXT, _DCM.ImageView, view, *modifiers)


def _code_of(item: Dataset, group: cad_codes.Group) -> Code | None:
    """The code of a code sequence's item; None where a part of it is missing or too long.

    A meaning that is too long is cut: it explains, the value says (PS3.3 8.3).
    """
    parts = [
        str(item.get(keyword) or "").strip()
        for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    ]
    value, scheme, meaning = parts
    if not all(parts) or max(len(value), len(scheme)) > _LONGEST_CODE:
        return None
    return cad_codes.standard_code(group, value, scheme, meaning[:_LONGEST_MEANING])


def _orientation(source: Dataset) -> Iterator[ContentItem]:
    orientation = pair_of(source, "PatientOrientation")
    if orientation:
        row, column = orientation
        yield text(ACQUISITION_CONTEXT, _DCM.PatientOrientationRow, row)
        yield text(ACQUISITION_CONTEXT, _DCM.PatientOrientationColumn, column)


def _times(source: Dataset) -> Iterator[ContentItem]:
    """Study Date and Time, Content Date and Time."""
    for name, date_name, time_name in (
        ("Study", _DCM.StudyDate, _DCM.StudyTime),
        ("Content", _DCM.ContentDate, _DCM.ContentTime),
    ):
        date = _readable("DA", DA, source.get(f"{name}Date"))
        if date is not None:
            yield day(ACQUISITION_CONTEXT, date_name, date)
        time = _readable("TM", TM, source.get(f"{name}Time"))
        if time is not None:
            yield clock(ACQUISITION_CONTEXT, time_name, time)


def _readable(vr: str, kind: type[_Value], value: object) -> _Value | None:
    """The value of a DA or TM element, None where it is empty or none ("00000000").

    Without leap seconds: DCMTK refuses the whole report over one.
    """
    text = standard_form(vr, str(value)) if value else None
    if not text:
        return None
    return kind(without_leap_second(text) if vr == "TM" else text)


def _spacing(source: Dataset) -> Iterator[ContentItem]:
    """Pixel Spacing, else Imager Pixel Spacing; both are (between rows, between columns)."""
    spacing = pair_of(source, "PixelSpacing", "ImagerPixelSpacing")
    if spacing:
        between_rows_mm, between_columns_mm = (float(value) for value in spacing)
        for name, value_mm in (
            (_DCM.HorizontalPixelSpacing, between_columns_mm),
            (_DCM.VerticalPixelSpacing, between_rows_mm),
        ):
            yield number(ACQUISITION_CONTEXT, name, value_mm, MILLIMETER)
