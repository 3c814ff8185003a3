"""Arterial calcification summed per breast."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from models.contract import FindingKind
from tests.results import disc, finding, header, outcome
from workers.analyses import ImageAnalysis
from workers.dicom.burden import burden_group, burdens_of
from workers.dicom.measurement import NO_SPACING


def _image(side: str, *diameters_px: int, **changes: Any) -> ImageAnalysis:
    """An image of that breast with as many arteries."""
    source = header(ImageLaterality=side)
    arteries = tuple(
        finding(
            disc(diameter_px),
            kind=FindingKind.ARTERIAL_CALCIFICATION,
            number=number,
            laterality=side,
            source_sop_uid=str(source.SOPInstanceUID),
            spacing_mm=changes.get("spacing_mm", (0.1, 0.1)),
        )
        for number, diameter_px in enumerate(diameters_px, start=1)
    )
    run = {name: value for name, value in changes.items() if name != "spacing_mm"}
    return ImageAnalysis(source, None, (outcome(source, findings=arteries, **run),))


def _numbers(group: Dataset) -> dict[str, tuple[float, str]]:
    return {
        item.ConceptNameCodeSequence[0].CodeValue: (
            float(item.MeasuredValueSequence[0].NumericValue),
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def test_all_views_of_a_breast_are_added() -> None:
    """Both breasts; the one without arteries has a burden of nothing, measured."""
    left, right = burdens_of([_image("L", 20, 10), _image("L", 20), _image("R")])
    expected_px = 2 * disc(20).sum() + disc(10).sum()
    assert (left.laterality, left.count, len(left.images)) == ("L", 3, 2)
    assert left.area_mm2 == pytest.approx(expected_px * 0.01)
    assert (right.laterality, right.count, right.area_mm2) == ("R", 0, 0)
    assert "left breast: 3 finding(s), " in left.sentence


def test_without_arteries_nothing_is_said() -> None:
    """The model may not look for them."""
    assert burdens_of([_image("L"), _image("R")]) == []


def test_a_failed_view_leaves_no_burden_of_its_breast() -> None:
    """The sum would be too small; the other breast keeps its own."""
    found = burdens_of([_image("L", 20), _image("L", error="no answer"), _image("R", 10)])
    assert [burden.laterality for burden in found] == ["R"]


def test_a_declined_view_is_not_missing() -> None:
    """A model that sees no breast in an image has nothing to add from it."""
    images = [_image("L", 20), _image("L", error="no breast", declined=True)]
    (burden,) = burdens_of(images)
    assert len(burden.images) == 1


def test_the_group_codes_area_and_number() -> None:
    """Area of Vascular Calcification, total, and Number of lesions; for OHIF below the finding."""
    (burden,) = burdens_of([_image("L", 20, 10)])
    (plain,) = burden_group(burden, "1.2.3", 1, "plain")
    assert _numbers(plain) == {
        "112196": (round((disc(20).sum() + disc(10).sum()) * 0.01, 2), "mm2"),
        "246206008": (2.0, "1"),
    }
    (ohif,) = burden_group(burden, "1.2.3", 1, "ohif")
    assert _numbers(ohif) == {}
    (artery,) = (item for item in ohif.ContentSequence if item.name.value == "121071")
    assert artery.ConceptCodeSequence[0].CodeValue == "129759000"
    assert _numbers(artery) == _numbers(plain)


def test_without_spacing_arteries_are_only_counted() -> None:
    """And the group says why."""
    images = [_image("L", 20), _image("L", 10, spacing_mm=None)]
    (burden,) = burdens_of(images)
    assert (burden.count, burden.area_mm2) == (2, None)
    (group,) = burden_group(burden, "1.2.3", 1, "plain")
    assert list(_numbers(group)) == ["246206008"]
    assert group.ContentSequence[-1].TextValue == NO_SPACING
