"""Planes of multi-frame images."""

from __future__ import annotations

from typing import Any

import pytest
from highdicom.seg import Segmentation
from pydicom.dataset import Dataset

from tests.results import CONTENT_AT, findings_of, header, tomosynthesis_header
from workers.dicom.planes import read_plane
from workers.segmentation import encode_segmentation


def _encode(source: Dataset, profile: Any, frame_number: int = 3) -> Dataset:
    return encode_segmentation(
        source,
        findings_of(source),
        revision=1,
        content_at=CONTENT_AT,
        series_number=9001,
        profile=profile,
        frame_number=frame_number,
    )


@pytest.mark.parametrize("profile", ["ohif", "plain"])
def test_a_slice_is_segmented_where_it_lies(profile: str) -> None:
    """Frame of reference, orientation, spacing and that position; no identity values."""
    source = tomosynthesis_header()
    result = _encode(source, profile)
    assert result.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert "PositionReferenceIndicator" in result
    shared = result.SharedFunctionalGroupsSequence[0]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [0, 1, 0, 0, 0, -1]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.1, 0.1]
    assert shared.PixelMeasuresSequence[0].SliceThickness == 1
    for frame in result.PerFrameFunctionalGroupsSequence:
        assert frame.PlanePositionSequence[0].ImagePositionPatient == [2, -20, 35.5]
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert reference.ReferencedFrameNumber == 3
    assert "PatientOrientation" not in result
    read = Segmentation.from_dataset(result)
    assert read.pixel_array.shape == (3, source.Rows, source.Columns)
    assert read.coordinate_system.value == "PATIENT"


def test_a_macro_may_stand_in_either_group() -> None:
    """Per frame what is usually shared, and the other way round."""
    source = tomosynthesis_header(2)
    shared = source.SharedFunctionalGroupsSequence[0]
    for frame in source.PerFrameFunctionalGroupsSequence:
        frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
    del shared.PlaneOrientationSequence
    plane = read_plane(source, 2)
    assert plane is not None
    assert (plane.orientation, plane.position) == ([0, 1, 0, 0, 0, -1], [1, -20, 35.5])
    shared.PlanePositionSequence = source.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
    for frame in source.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    moved = read_plane(source, 2)
    assert moved is not None
    assert moved.position == [0, -20, 35.5]


def _without(keyword: str) -> Dataset:
    source = tomosynthesis_header(3)
    for groups in (
        *source.SharedFunctionalGroupsSequence,
        *source.PerFrameFunctionalGroupsSequence,
    ):
        if keyword in groups:
            del groups[keyword]
    return source


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(header(), id="projection"),
        pytest.param(header(FrameOfReferenceUID="1.2.3"), id="projection with a UID"),
        pytest.param(_without("PlaneOrientationSequence"), id="no orientation"),
        pytest.param(_without("PlanePositionSequence"), id="no position"),
        pytest.param(_without("PixelMeasuresSequence"), id="no spacing"),
    ],
)
def test_half_a_plane_is_none(source: Dataset) -> None:
    """The object then has no frame of reference; for OHIF it gets identity values."""
    assert read_plane(source, 1) is None
    result = _encode(source, "ohif", 1)
    assert "FrameOfReferenceUID" not in result
    shared = result.SharedFunctionalGroupsSequence[0]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]


def test_numbers_that_are_none_are_no_plane() -> None:
    """Two values for three, or a spacing of nothing."""
    source = tomosynthesis_header(1)
    position = source.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    position.ImagePositionPatient = [1, 2]
    assert read_plane(source, 1) is None
    position.ImagePositionPatient = [1, 2, 3]
    assert read_plane(source, 1) is not None
    measures = source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [0, 0.1]
    assert read_plane(source, 1) is None


@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
def test_numbers_of_the_plane_fit_their_element() -> None:
    """Reconstructions write all digits of a double; a DS has 16 characters."""
    source = tomosynthesis_header(1)
    measures = source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = ["0.085000000000000006"] * 2
    measures.SliceThickness = "1.0000000000000002"
    position = source.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    position.ImagePositionPatient = ["-123.45678901234568", "0.1", "3"]
    result = _encode(source, "plain", 1)
    shared = result.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    placed = result.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    written = [*placed.ImagePositionPatient, *shared.PixelSpacing, shared.SliceThickness]
    assert [float(value) for value in written] == pytest.approx(
        [-123.456789012346, 0.1, 3, 0.085, 0.085, 1], abs=1e-11
    )
    assert max(len(str(value)) for value in written) <= 16
    assert str(written[1]) == "0.1", "what fits stays as it was written"
