"""Spacing is in mm in the breast, and absent where it cannot be trusted."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from tests.results import tomosynthesis_header
from workers.dicom.anatomy import read_laterality, read_view
from workers.dicom.spacing import read_spacing


def header(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def region(**changes: Any) -> Dataset:
    values = {
        "RegionSpatialFormat": 1,
        "RegionDataType": 1,
        "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3,
        "PhysicalDeltaX": 0.006,
        "PhysicalDeltaY": -0.005,
    }
    return header(**values | changes)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ImagerPixelSpacing": [0.1, 0.1]}, ((0.1, 0.1), "ImagerPixelSpacing")),
        (
            {
                "ImagerPixelSpacing": [0.1, 0.1],
                "EstimatedRadiographicMagnificationFactor": "1.25",
            },
            ((0.08, 0.08), "ImagerPixelSpacing/magnification"),
        ),
        (
            {"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": "1"},
            ((0.1, 0.1), "ImagerPixelSpacing"),
        ),
        (
            {"ImagerPixelSpacing": [0.1, 0.1], "PixelSpacing": [0.09, 0.09]},
            ((0.09, 0.09), "PixelSpacing"),
        ),
        (
            {"ImagerPixelSpacing": [0.1, 0.1], "PixelSpacing": [0.1, 0.1]},
            ((0.1, 0.1), "ImagerPixelSpacing"),
        ),
        ({"PixelSpacing": [0.1, 0.1]}, ((0.1, 0.1), "PixelSpacing")),
        ({}, None),
        ({"ImagerPixelSpacing": [0, 0]}, None),
        ({"ImagerPixelSpacing": [100, 100]}, None),
        ({"ImagerPixelSpacing": [0.1, 0.5]}, None),
        ({"ImagerPixelSpacing": "0.1"}, None),
    ],
)
def test_mammograms(values: dict[str, Any], expected: Any) -> None:
    """Calibrated spacing wins, magnification is divided out, nonsense is dropped."""
    assert read_spacing(header(Modality="MG", **values)) == expected


def test_slices_of_tomosynthesis_have_the_spacing_of_their_plane() -> None:
    """From the shared groups; a volume without them has none."""
    source = tomosynthesis_header()
    assert read_spacing(source) == ((0.1, 0.1), "PixelSpacing")
    del source.SharedFunctionalGroupsSequence
    assert read_spacing(source) is None


def test_ultrasound_regions_are_in_centimetres() -> None:
    """Rows first, and the direction of an axis is not its size."""
    dataset = header(Modality="US", SequenceOfUltrasoundRegions=[region()])
    spacing = read_spacing(dataset)
    assert spacing is not None
    assert spacing[0] == pytest.approx((0.05, 0.06))
    assert spacing[1] == "US region"


@pytest.mark.parametrize(
    "regions",
    [
        [region(), region(PhysicalDeltaX=0.01, PhysicalDeltaY=0.01)],
        [region(PhysicalUnitsXDirection=4)],
        [region(RegionSpatialFormat=3)],
        [],
    ],
)
def test_ultrasound_without_one_scale_has_none(regions: list[Dataset]) -> None:
    """Two scales in one picture, a time axis or no region give no spacing."""
    assert read_spacing(header(Modality="US", SequenceOfUltrasoundRegions=regions)) is None


def test_two_scales_are_not_overruled_by_one_pixel_spacing() -> None:
    """It would be right for one half of the picture at best; without regions it is all there is."""
    regions = [region(), region(PhysicalDeltaX=0.01, PhysicalDeltaY=0.01)]
    dataset = header(Modality="US", PixelSpacing=[0.1, 0.1], SequenceOfUltrasoundRegions=regions)
    assert read_spacing(dataset) is None
    del dataset.SequenceOfUltrasoundRegions
    assert read_spacing(dataset) == ((0.1, 0.1), "PixelSpacing")


def test_other_regions_do_not_disturb() -> None:
    """A colour bar or an M-mode strip beside the tissue has its own units."""
    strip = region(RegionSpatialFormat=2, PhysicalUnitsXDirection=4)
    dataset = header(Modality="US", SequenceOfUltrasoundRegions=[region(), strip, region()])
    assert read_spacing(dataset) is not None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ImageLaterality": "L"}, "L"),
        ({"ImageLaterality": "R", "Laterality": "L"}, "R"),
        ({"Laterality": "R"}, "R"),
        ({"ImageLaterality": "B", "Laterality": "R"}, None),
        ({"ImageLaterality": ""}, None),
        ({}, None),
    ],
)
def test_laterality(values: dict[str, str], expected: str | None) -> None:
    """The image's word wins over the series'; both breasts are neither."""
    assert read_laterality(header(**values)) == expected


def test_laterality_of_a_frame() -> None:
    """Enhanced objects say it in the frame anatomy."""
    anatomy = header(FrameAnatomySequence=[header(FrameLaterality="R")])
    assert read_laterality(header(SharedFunctionalGroupsSequence=[anatomy])) == "R"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ViewPosition": "MLO"}, "MLO"),
        ({"ViewCodeSequence": [header(CodeValue="399162004")]}, "CC"),
        ({"ViewCodeSequence": [header(CodeValue="R-10226")]}, "MLO"),
        ({"ViewCodeSequence": [header(CodeValue="unknown")]}, None),
        ({}, None),
    ],
)
def test_view(values: dict[str, Any], expected: str | None) -> None:
    """View Position, else the code, in today's and in retired terminology."""
    assert read_view(header(**values)) == expected


@pytest.mark.parametrize("stated", ["CRANIO-CAUDAL LEFT", "CC\0A", "X" * 40])
def test_a_view_that_is_no_code_string_is_none(stated: str) -> None:
    """PostgreSQL would refuse the finding that it stands in, and with it the whole study."""
    with disable_value_validation():
        source = header(ViewPosition=stated, ViewCodeSequence=[header(CodeValue="399162004")])
    assert read_view(source) == "CC"
