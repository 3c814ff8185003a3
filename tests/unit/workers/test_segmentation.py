"""The SEG of one image, read back."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import BreastTomosynthesisImageStorage

from models.contract import FindingKind
from node.errors import EncodingError
from tests.results import CONTENT_AT, disc, finding, findings_of, header, ultrasound_header
from workers.findings import Finding
from workers.segmentation import encode_segmentation


def _encode(source: Dataset, findings: list[Finding], **changes: Any) -> Dataset:
    arguments: dict[str, Any] = {
        "revision": 1,
        "content_at": CONTENT_AT,
        "series_number": 9100,
        "profile": "ohif",
    }
    return encode_segmentation(source, findings, **arguments | changes)


def _bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _full_size(found: Finding, source: Dataset) -> NDArray[np.bool_]:
    full = np.zeros((source.Rows, source.Columns), dtype=bool)
    x0, y0, x1, y1 = found.box_px
    full[y0:y1, x0:x1] = found.mask
    return full


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("profile", ["ohif", "plain"])
def test_the_masks_read_back_are_the_masks_written(profile: str, overlapping: bool) -> None:
    """One frame per finding, in order, pixel for pixel, after a trip through a file."""
    source = header()
    findings = findings_of(source, overlapping=overlapping)
    written = _encode(source, findings, profile=profile)
    read = highdicom.seg.Segmentation.from_dataset(pydicom.dcmread(BytesIO(_bytes(written))))
    assert read.SegmentsOverlap == ("YES" if overlapping else "NO")
    assert read.number_of_segments == len(findings)
    frames = read.pixel_array
    for number, found in enumerate(findings, start=1):
        np.testing.assert_array_equal(frames[number - 1], _full_size(found, source))


def test_encoding_again_gives_the_same_bytes() -> None:
    """Nothing in the object is drawn at random or read from the clock."""
    source = header()
    assert _bytes(_encode(source, findings_of(source))) == _bytes(
        _encode(source, findings_of(source))
    )


def test_a_new_revision_is_a_new_object() -> None:
    """SOP instance and series change with the revision; the study does not."""
    source = header()
    first = _encode(source, findings_of(source))
    second = _encode(source, findings_of(source), revision=2)
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.StudyInstanceUID == second.StudyInstanceUID == source.StudyInstanceUID


def test_segments_say_what_they_are_and_who_found_them() -> None:
    """Codes, side, algorithm and tracking of every segment."""
    source = header()
    findings = findings_of(source)
    segments = _encode(source, findings).SegmentSequence
    types = [
        (item.CodeValue, item.CodingSchemeDesignator)
        for segment in segments
        for item in segment.SegmentedPropertyTypeCodeSequence
    ]
    assert types == [("4147007", "SCT"), ("129769006", "SCT"), ("129759000", "SCT")]
    for segment, found in zip(segments, findings, strict=True):
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert algorithm.AlgorithmName == found.model
        assert algorithm.AlgorithmVersion == found.model_version
        assert segment.TrackingUID == found.tracking_uid
        region = segment.AnatomicRegionSequence[0]
        assert region.CodeValue == "76752008"
        assert region.AnatomicRegionModifierSequence[0].CodeMeaning == "Left"


def test_without_laterality_the_breast_has_no_side() -> None:
    """No modifier is invented."""
    segment = _encode(header(), [finding(laterality=None)]).SegmentSequence[0]
    assert "AnatomicRegionModifierSequence" not in segment.AnatomicRegionSequence[0]


def test_ohif_gets_the_planes_it_needs() -> None:
    """Identity orientation and position, the image's own spacing."""
    source = header()
    result = _encode(source, findings_of(source))
    shared = result.SharedFunctionalGroupsSequence[0]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.1, 0.1]
    for frame in result.PerFrameFunctionalGroupsSequence:
        assert frame.PlanePositionSequence[0].ImagePositionPatient == [0, 0, 0]
    assert "FrameOfReferenceUID" not in result
    referenced = result.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == source.SeriesInstanceUID
    instance = referenced.ReferencedInstanceSequence[0]
    assert instance.ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_plain_invents_no_planes() -> None:
    """Only the image's own orientation is repeated."""
    source = header(PatientOrientation=["P", "L"])
    result = _encode(source, findings_of(source), profile="plain")
    assert "PlaneOrientationSequence" not in result.SharedFunctionalGroupsSequence[0]
    assert "PlanePositionSequence" not in result.PerFrameFunctionalGroupsSequence[0]
    assert result.PatientOrientation == ["P", "L"]


def test_a_frame_of_reference_without_a_plane_is_left_behind() -> None:
    """A projection has no place in the patient, even if the device wrote a UID."""
    source = header(FrameOfReferenceUID="1.2.840.99")
    assert "FrameOfReferenceUID" not in _encode(source, findings_of(source))


@pytest.mark.parametrize(
    ("source", "frame_number"),
    [
        pytest.param(ultrasound_header(40), 7, id="ultrasound loop"),
        pytest.param(
            header(SOPClassUID=BreastTomosynthesisImageStorage, NumberOfFrames=60),
            30,
            id="tomosynthesis",
        ),
    ],
)
def test_one_frame_of_many_is_named(source: Dataset, frame_number: int) -> None:
    """Derivation Image points to the frame; every reference keeps the class of the image."""
    result = _encode(source, findings_of(source), frame_number=frame_number)
    for frame in result.PerFrameFunctionalGroupsSequence:
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert reference.ReferencedFrameNumber == frame_number
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
    instance = result.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert instance.ReferencedSOPClassUID == source.SOPClassUID
    assert "ReferencedFrameNumber" not in instance


def test_a_bare_header_is_enough() -> None:
    """Type 2 attributes that the source lacks are there, empty."""
    source = header(PatientID=None, PatientName=None, StudyDate=None, StudyTime=None)
    result = _encode(source, [finding(spacing_mm=None)])
    for keyword in ("PatientID", "PatientName", "PatientSex", "StudyID", "AccessionNumber"):
        assert keyword in result
        assert not result.get(keyword)


def test_the_patient_is_copied_and_impossible_dates_are_not() -> None:
    """Text in any character set arrives; a birth date of zeros does not."""
    source = header(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Ä")
    source["PatientBirthDate"] = pydicom.DataElement(
        "PatientBirthDate", "DA", "00000000", validation_mode=pydicom.config.IGNORE
    )
    read = pydicom.dcmread(BytesIO(_bytes(_encode(source, findings_of(source)))))
    assert str(read.PatientName) == "Müller^Ä"
    assert read.PatientID == source.PatientID
    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert not read.PatientBirthDate


def test_times_are_on_the_clock_of_the_source() -> None:
    """Content time follows Timezone Offset From UTC when the source has one."""
    source = header(TimezoneOffsetFromUTC="-0530")
    result = _encode(source, findings_of(source), content_at=datetime(2026, 3, 1, 2, 0, tzinfo=UTC))
    read = pydicom.dcmread(BytesIO(_bytes(result)))
    assert (read.ContentDate, read.ContentTime[:4]) == ("20260228", "2030")
    assert (read.InstanceCreationDate, read.InstanceCreationTime[:4]) == ("20260228", "2030")
    assert read.TimezoneOffsetFromUTC == "-0530"


def test_it_says_that_it_is_for_research_and_who_made_it() -> None:
    """Descriptions and equipment; every model is a contributing device of its own."""
    source = header(Manufacturer="Maker of detectors")
    findings = [*findings_of(source), finding(model="mtu_net", model_version="2.0")]
    result = _encode(source, findings)
    assert "research use only" in result.SeriesDescription
    assert result.ContentDescription == "Research use only. Not a medical device."
    assert result.Manufacturer == "Sentinode"
    assert "mtu_net 2.0" in result.SoftwareVersions
    devices = [item.get("ManufacturerModelName") for item in result.ContributingEquipmentSequence]
    assert devices == [None, "mask_rcnn_mg", "mtu_net"]
    acquisition = result.ContributingEquipmentSequence[0]
    assert acquisition.Manufacturer == "Maker of detectors"
    uids = {item.DeviceUID for item in result.ContributingEquipmentSequence[1:]}
    assert len(uids) == 2


def test_its_series_says_of_which_image_it_is() -> None:
    """Viewers list series by their description; what the image does not say is left out."""
    images = [
        header(InstanceNumber=12),
        header(ImageLaterality=None, ViewPosition=None),
        header(ViewPosition="V" * 16, InstanceNumber=123456789),
    ]
    assert [_encode(each, findings_of(each)).SeriesDescription for each in images] == [
        "AI segmentation L CC, instance 12, research use only",
        "AI segmentation, research use only",
        "AI segmentation L VVVVVVVVVVVVVVVV, research use only",
    ]


def test_another_model_version_is_another_device() -> None:
    """The device UID changes with the model."""
    first = _encode(header(), [finding()])
    second = _encode(header(), [finding(model_version="1.0.1")])
    assert first.DeviceUID != second.DeviceUID
    assert first.DeviceSerialNumber != second.DeviceSerialNumber


def test_the_source_is_not_changed() -> None:
    """Encoding reads the header and leaves it alone."""
    source = header()
    before = copy.deepcopy(source)
    _encode(source, findings_of(source))
    assert source == before


def test_a_segmentation_needs_a_finding() -> None:
    """An empty SEG would look like a result."""
    with pytest.raises(EncodingError, match="at least one finding"):
        _encode(header(), [])


def test_a_finding_outside_the_image_is_refused() -> None:
    """Rather than written somewhere else."""
    with pytest.raises(EncodingError, match="leaves the image"):
        _encode(header(), [finding(disc(40), offset_px=(390, 10))])


def test_a_header_without_identity_is_refused() -> None:
    """The error names what is missing."""
    with pytest.raises(EncodingError, match="SeriesInstanceUID"):
        _encode(header(SeriesInstanceUID=None), [finding()])


def test_kinds_have_labels_people_know() -> None:
    """Segment labels are what a viewer lists."""
    source = header()
    labels = [item.SegmentLabel for item in _encode(source, findings_of(source)).SegmentSequence]
    assert labels == ["Mass 1", "Calcification cluster 2", "Arterial calcification 3"]
    assert len(labels) == len(FindingKind)


def test_an_image_without_a_spacing_still_gets_planes() -> None:
    """1 mm stands for no spacing, and for one that is no pair."""
    for source in (header(ImagerPixelSpacing=None), header(ImagerPixelSpacing="0.1")):
        shared = _encode(source, findings_of(source)).SharedFunctionalGroupsSequence[0]
        assert shared.PixelMeasuresSequence[0].PixelSpacing == [1, 1]


def test_an_image_without_a_size_is_refused() -> None:
    """The error names what is missing."""
    with pytest.raises(EncodingError, match="Rows"):
        _encode(header(Rows=None), [finding()])
