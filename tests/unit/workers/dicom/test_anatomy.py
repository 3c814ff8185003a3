"""The place in the breast that an image itself names."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests.results import header, in_a_quadrant
from workers.dicom.anatomy import read_laterality, read_location


def _item(value: str, scheme: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "as sent"
    return item


def test_a_quadrant_is_read_from_the_anatomic_region() -> None:
    """In SNOMED CT, with the meaning of the standard."""
    assert read_location(in_a_quadrant()) == codes.cid6020.UpperOuterQuadrantOfBreast


@pytest.mark.parametrize(("value", "scheme"), [("129781005", "SCT"), ("T-04004", "SRT")])
def test_a_clock_position_or_quadrant_may_modify_the_breast(value: str, scheme: str) -> None:
    """Retired SNOMED RT values of older devices count."""
    source, breast = header(), _item("76752008", "SCT")
    breast.AnatomicRegionModifierSequence = [_item("7771000", "SCT"), _item(value, scheme)]
    source.AnatomicRegionSequence = [breast]
    location = read_location(source)
    assert location is not None
    assert location.scheme_designator == "SCT"
    assert "10 o'clock" in location.meaning or "quadrant" in location.meaning


def test_nothing_is_said_where_the_image_says_nothing_or_too_much() -> None:
    """A breast without more, and two quadrants at once."""
    source = header()
    assert read_location(source) is None
    source.AnatomicRegionSequence = [_item("76752008", "SCT")]
    assert read_location(source) is None
    source.AnatomicRegionSequence = [_item("76365002", "SCT"), _item("77831004", "SCT")]
    assert read_location(source) is None


@pytest.mark.parametrize(
    ("region", "modifiers", "expected"),
    [
        ("80248007", [], "L"),
        ("T-04020", [], "R"),
        ("76752008", ["24028007"], "R"),
        ("76752008", ["76365002", "G-A101"], "L"),
        ("76752008", [], None),
        ("80248007", ["24028007"], None),
    ],
)
def test_the_side_may_stand_in_the_anatomic_region(
    region: str, modifiers: list[str], expected: str | None
) -> None:
    """As ultrasound devices write it, in SNOMED CT or RT; nothing where both sides are named."""
    breast = _item(region, "SRT" if "-" in region else "SCT")
    breast.AnatomicRegionModifierSequence = [
        _item(value, "SRT" if "-" in value else "SCT") for value in modifiers
    ]
    source = header(ImageLaterality=None, AnatomicRegionSequence=[breast])
    assert read_laterality(source) == expected


@pytest.mark.parametrize("stated", ["R", "B"])
def test_the_word_wins_over_the_codes(stated: str) -> None:
    """Image Laterality is for this, and may say that both breasts are in the picture."""
    source = header(ImageLaterality=stated, AnatomicRegionSequence=[_item("80248007", "SCT")])
    assert read_laterality(source) == (stated if stated == "R" else None)
