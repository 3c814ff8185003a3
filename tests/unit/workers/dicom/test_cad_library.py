"""The Image Library of the CAD report, from headers with what devices write."""

from __future__ import annotations

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from tests.cad_studies import STUDIES
from tests.results import header
from workers.dicom.cad_library import library_entry


def _entry(name: str) -> Dataset:
    """The entry of the only image of a study."""
    (analysis,) = STUDIES[name]()
    return library_entry(analysis.source, analysis.frame_number)


def _children(item: Dataset, name: str) -> list[Dataset]:
    return [
        child
        for child in item.get("ContentSequence") or ()
        if child.ConceptNameCodeSequence[0].CodeValue == name
    ]


def _code(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def _number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def test_a_cancelled_date_is_left_out() -> None:
    """ "00000000" is what some devices write for none."""
    source = header(ContentDate="20260102")
    source["StudyDate"] = DataElement(
        "StudyDate", "DA", "00000000", validation_mode=pydicom.config.IGNORE
    )
    entry = library_entry(source, 1)
    assert not _children(entry, "111060")
    assert str(_children(entry, "111018")[0].Date) == "20260102"


def test_retired_codes_become_today_s() -> None:
    """SNOMED RT of the device, SNOMED CT of the context group; modifiers keep their order."""
    (view,) = _children(_entry("retired codes"), "111031")
    assert _code(view) == "399162004"
    assert [_code(item) for item in _children(view, "111032")] == ["399011000", "399055006"]


def test_a_code_outside_the_group_is_kept() -> None:
    """The group is extensible; what the device says is better than nothing."""
    coded = Dataset()
    coded.CodeValue, coded.CodingSchemeDesignator, coded.CodeMeaning = "V1", "99DEVICE", "odd"
    (view,) = _children(library_entry(header(ViewCodeSequence=[coded]), 1), "111031")
    assert view.ConceptCodeSequence[0].CodingSchemeDesignator == "99DEVICE"


def test_a_frame_is_named_where_the_image_has_frames() -> None:
    """The slice that was looked at."""
    entry = _entry("tomosynthesis")
    assert entry.ReferencedSOPSequence[0].ReferencedFrameNumber == 3


def test_spacing_is_horizontal_between_columns() -> None:
    """Pixel Spacing names the rows' distance first."""
    entry = _entry("digitised film")
    assert _number(_children(entry, "111026")[0]) == 0.06
    assert _number(_children(entry, "111066")[0]) == 0.05


def test_both_breasts_in_one_picture_are_said() -> None:
    """Image Laterality B."""
    (side,) = _children(library_entry(header(ImageLaterality="B"), 1), "111027")
    assert _code(side) == "63762007"
