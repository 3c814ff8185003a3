"""The TID 1500 report of one study revision, read back."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from highdicom.sr import MeasurementReport
from pydicom.dataset import Dataset

from models.registry import MODELS
from node.errors import EncodingError
from tests.results import (
    CONTENT_AT,
    evidence,
    findings_of,
    header,
    in_a_quadrant,
    outcome,
    ultrasound_header,
)
from workers.analyses import ImageAnalysis
from workers.dicom.measurement import NO_SPACING, OHIF_TRACKING_IDENTIFIER
from workers.findings import RunOutcome
from workers.report import encode_report
from workers.segmentation import encode_segmentation


def _encode(*analyses: ImageAnalysis, **changes: Any) -> Dataset:
    arguments: dict[str, Any] = {
        "revision": 1,
        "content_at": CONTENT_AT,
        "segmentations": {},
        "predecessor": None,
        "profile": "ohif",
    }
    return encode_report(analyses, **arguments | changes)


def _analysis(
    source: Dataset, *runs: RunOutcome, spacing_source: str | None = "ImagerPixelSpacing"
) -> ImageAnalysis:
    return ImageAnalysis(source, spacing_source, runs)


def _with_findings(source: Dataset, **changes: Any) -> ImageAnalysis:
    return _analysis(source, outcome(source, findings=tuple(findings_of(source, **changes))))


def _bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _items(parent: Dataset, meaning: str) -> list[Dataset]:
    """Children of `parent` with that concept name."""
    return [
        item
        for item in parent.get("ContentSequence", [])
        if item.ConceptNameCodeSequence[0].CodeMeaning == meaning
    ]


def _groups(report: Dataset) -> list[Dataset]:
    """Every group, in either container: profile ohif keeps what is not drawn with the summary."""
    containers = ("Imaging Measurements", "Qualitative Evaluations")
    return [
        group
        for name in containers
        for group in _items(_items(report, name)[0], "Measurement Group")
    ]


def _finding_groups(report: Dataset) -> list[Dataset]:
    return [group for group in _groups(report) if _items(group, "Image Region")]


def _run_groups(report: Dataset) -> list[Dataset]:
    return [group for group in _groups(report) if not _items(group, "Image Region")]


def _code(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def _summary(report: Dataset) -> tuple[str, str, str]:
    """Codes of processing and analyses, and the text."""
    container = _items(report, "Qualitative Evaluations")[0]
    processing = _items(container, "CAD Processing and Findings Summary")[0]
    analyses = _items(container, "Summary of Analyses")[0]
    return _code(processing), _code(analyses), str(_items(container, "Summary")[0].TextValue)


def test_the_contour_read_back_is_the_contour_written() -> None:
    """Closed, in order, to within a hundredth of a pixel."""
    source = header()
    analysis = _with_findings(source)
    read = pydicom.dcmread(BytesIO(_bytes(_encode(analysis))))
    content = MeasurementReport.from_sequence([read])
    groups = content.get_planar_roi_measurement_groups()
    assert len(groups) == 3
    for group, found in zip(groups, analysis.runs[0].findings, strict=True):
        points = group.roi.value
        np.testing.assert_allclose(points[:-1], found.contour_px, atol=0.01)
        np.testing.assert_array_equal(points[0], points[-1])
        assert group.tracking_uid == found.tracking_uid


def test_encoding_again_gives_the_same_bytes() -> None:
    """Nothing in the object is drawn at random or read from the clock."""
    source = header()
    assert _bytes(_encode(_with_findings(source))) == _bytes(_encode(_with_findings(source)))


def test_sizes_are_in_mm_with_the_spacing_named() -> None:
    """Area first, then both axes and the certainty; the comment tells where mm come from."""
    group = _finding_groups(_encode(_with_findings(header())))[0]
    numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
    units = [
        (
            item.ConceptNameCodeSequence[0].CodeMeaning,
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in numbers
    ]
    assert units == [
        ("Area", "mm2"),
        ("Long axis", "mm"),
        ("Short axis", "mm"),
        ("Certainty of Finding", "%"),
    ]
    assert float(numbers[-1].MeasuredValueSequence[0].NumericValue) == 87.0
    assert "ImagerPixelSpacing" in _items(group, "Comment")[1].TextValue


def test_without_spacing_the_group_says_so() -> None:
    """Pixels only, and the reason."""
    source = header(ImagerPixelSpacing=None)
    analysis = _with_findings(source, spacing_mm=None)
    report = _encode(ImageAnalysis(source, None, analysis.runs))
    group = _finding_groups(report)[0]
    units = {
        item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }
    assert units == {"{pixels}", "%"}
    assert _items(group, "Comment")[1].TextValue == NO_SPACING


def test_ohif_finds_its_tool_and_the_contour_below_the_area() -> None:
    """What OHIF 3 needs to draw a contour and to take it over."""
    group = _finding_groups(_encode(_with_findings(header())))[0]
    assert _items(group, "Tracking Identifier")[0].TextValue == OHIF_TRACKING_IDENTIFIER
    assert _items(group, "Comment")[0].TextValue == "Mass 1, left CC, 87 %, mask_rcnn_mg 1.0.0"
    contour = _items(group, "Area")[0].ContentSequence[0]
    assert contour.RelationshipType == "INFERRED FROM"
    assert contour.GraphicData == _items(group, "Image Region")[0].GraphicData


def test_plain_has_a_name_for_people_and_nothing_below_the_area() -> None:
    """The tracking identifier is readable."""
    group = _finding_groups(_encode(_with_findings(header()), profile="plain"))[0]
    name = _items(group, "Tracking Identifier")[0].TextValue
    assert name == "Mass 1, left CC, 87 %, mask_rcnn_mg 1.0.0"
    assert "ContentSequence" not in _items(group, "Area")[0]


def test_a_failed_model_is_reported_as_failed() -> None:
    """A code and a text per image and model, a code for the study, and never "no findings"."""
    source = header()
    report = _encode(
        _analysis(
            source,
            outcome(source),
            outcome(source, model="mtu_net", error="Triton did not answer in time"),
        )
    )
    states = {
        str(_items(group, "Algorithm Name")[0].TextValue): _code(
            _items(group, "Summary of Analyses")[0]
        )
        for group in _run_groups(report)
    }
    assert states == {"mask_rcnn_mg": "111222", "mtu_net": "111224"}
    processing, analyses, text = _summary(report)
    assert (processing, analyses) == ("111243", "111223")
    assert "INCOMPLETE: 1 of 2 analyses failed." in text
    assert "mtu_net 1.0.0 FAILED" in text
    assert "Triton did not answer in time" in text
    assert "No findings on" not in text
    assert report.CompletionFlag == "PARTIAL"


def test_when_everything_failed_nothing_was_assessed() -> None:
    """No algorithm succeeded; the word finding does not appear as a result."""
    source = header()
    report = _encode(_analysis(source, outcome(source, error="the pixels cannot be read")))
    processing, analyses, text = _summary(report)
    assert (processing, analyses) == ("111245", "111224")
    assert "no findings" not in text.lower()


def test_no_findings_is_said_when_every_model_succeeded() -> None:
    """All algorithms succeeded, without findings; every image is still evidence."""
    first = header()
    second = header(StudyInstanceUID=first.StudyInstanceUID)
    report = _encode(_analysis(first, outcome(first)), _analysis(second, outcome(second)))
    processing, analyses, text = _summary(report)
    assert (processing, analyses) == ("111241", "111222")
    assert "No findings on 2 image(s)." in text
    assert report.CompletionFlag == "COMPLETE"
    assert evidence(report) == {first.SOPInstanceUID, second.SOPInstanceUID}


@pytest.mark.parametrize(("share", "positive"), [(0.97, True), (0.03, False)])
def test_a_positive_classifier_is_no_study_without_findings(share: float, positive: bool) -> None:
    """It marks nothing; the combined report calls the breast positive, and this one must not seem
    to say the opposite."""
    source, model = header(), "resnet50"
    run = outcome(
        source,
        model=model,
        model_version=MODELS[model].spec.version,
        probabilities={"malignant": share, "normal": 1 - share},
    )
    text = _summary(_encode(_analysis(source, run)))[2]
    assert ("No findings on 1 image(s)." in text) != positive
    assert (
        "but POSITIVE: Probability of class malignant 97 % (operating point" in text
    ) == positive


def test_findings_are_summarised() -> None:
    """All algorithms succeeded, with findings."""
    processing, analyses, text = _summary(_encode(_with_findings(header())))
    assert (processing, analyses) == ("111242", "111222")
    assert "3 finding(s) on 1 of 1 image(s)." in text


def test_images_that_no_model_looked_at_are_told_with_the_reason() -> None:
    """ "No findings" must not be taken for a word on the tomosynthesis beside the mammogram."""
    source = header()
    left_out = {"tomosynthesis volumes are kept": 2, "a specimen shows no breast": 1}
    text = _summary(_encode(_analysis(source, outcome(source)), left_out=left_out))[2]
    lines = text.splitlines()
    place = lines.index("No findings on 1 image(s).")
    assert lines[place + 1 : place + 3] == [
        "Not analysed, 1 image(s): a specimen shows no breast.",
        "Not analysed, 2 image(s): tomosynthesis volumes are kept.",
    ]


def test_of_a_loop_the_text_says_that_one_frame_was_looked_at() -> None:
    """Without it "no findings" would be said of all frames."""
    loop = ultrasound_header(number_of_frames=30)
    analysis = ImageAnalysis(loop, None, (outcome(loop),), frame_number=15)
    text = _summary(_encode(analysis))[2]
    assert "Of 1 image(s) with several frames one frame each was read." in text
    assert "US L, frame 15 of 30: " in text
    assert "frames" not in _summary(_encode(_with_findings(header())))[2]


def test_the_text_says_which_image_it_speaks_of() -> None:
    """A repeated view by its instance number; images with findings are counted."""
    study_uid = header().StudyInstanceUID
    first, repeat, other = (
        header(StudyInstanceUID=study_uid, InstanceNumber=1),
        header(StudyInstanceUID=study_uid, InstanceNumber=9),
        header(StudyInstanceUID=study_uid, ImageLaterality=None, ViewPosition=None),
    )
    report = _encode(
        _with_findings(first),
        _analysis(repeat, outcome(repeat)),
        _analysis(other, outcome(other, error="the pixels cannot be read")),
    )
    text = _summary(report)[2]
    assert "3 finding(s) on 1 of 3 image(s)." in text
    assert "Image 1, MG L CC, instance 1: mask_rcnn_mg" in text
    assert "Image 2, MG L CC, instance 9: mask_rcnn_mg 1.0.0 succeeded: no findings." in text
    assert "Image 3, MG: mask_rcnn_mg 1.0.0 FAILED" in text


def test_evidence_lists_images_and_segmentations() -> None:
    """(0040,A375) names every source and every SEG of the revision."""
    source = header()
    analysis = _with_findings(source)
    segmentation = encode_segmentation(
        source,
        analysis.runs[0].findings,
        revision=1,
        content_at=CONTENT_AT,
        series_number=9100,
        profile="ohif",
    )
    report = _encode(analysis, segmentations={str(source.SOPInstanceUID): segmentation})
    assert evidence(report) == {source.SOPInstanceUID, segmentation.SOPInstanceUID}
    tracked = {segment.TrackingUID for segment in segmentation.SegmentSequence}
    assert tracked == {
        _items(group, "Tracking Unique Identifier")[0].UID for group in _finding_groups(report)
    }


def _segmented(analysis: ImageAnalysis, **options: Any) -> dict[str, Dataset]:
    segmentation = encode_segmentation(
        analysis.source,
        analysis.findings,
        revision=1,
        content_at=CONTENT_AT,
        series_number=9100,
        **{"profile": "ohif"} | options,
    )
    return {str(analysis.source.SOPInstanceUID): segmentation}


def _sources_of_sizes(group: Dataset) -> dict[str, list[tuple[str, int | None]]]:
    """What each number was inferred from: value type and segment."""
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: [
            (
                source.ValueType,
                source.ReferencedSOPSequence[0].ReferencedSegmentNumber
                if source.ValueType == "IMAGE"
                else None,
            )
            for source in item.get("ContentSequence", [])
        ]
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def test_sizes_are_inferred_from_the_segment() -> None:
    """The one of the finding, in the segmentation of the image, with its SOP class."""
    analysis = _with_findings(header())
    segmentations = _segmented(analysis, profile="plain")
    groups = _finding_groups(_encode(analysis, segmentations=segmentations, profile="plain"))
    for number, group in enumerate(groups, start=1):
        image = [("IMAGE", number)]
        assert _sources_of_sizes(group) == {
            "Area": image,
            "Long axis": image,
            "Short axis": image,
            "Certainty of Finding": [],
        }
        reference = _items(group, "Area")[0].ContentSequence[0]
        (segmentation,) = segmentations.values()
        item = reference.ReferencedSOPSequence[0]
        assert item.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        assert item.ReferencedSOPClassUID == segmentation.SOPClassUID
        assert reference.RelationshipType == "INFERRED FROM"


def test_for_ohif_the_area_keeps_its_contour() -> None:
    """A number is inferred from a contour or a segment, never from both (TID 320)."""
    analysis = _with_findings(header())
    group = _finding_groups(_encode(analysis, segmentations=_segmented(analysis)))[0]
    sources = _sources_of_sizes(group)
    assert sources["Area"] == [("SCOORD", None)]
    assert sources["Long axis"] == sources["Short axis"] == [("IMAGE", 1)]


def test_findings_of_a_class_name_the_same_segment() -> None:
    """Another report than that of segments for each finding."""
    source = header()
    findings = (*findings_of(source), *findings_of(source, first_number=4))
    analysis = _analysis(source, outcome(source, findings=findings))
    by_class = _segmented(analysis, segments_per="class")
    report = _encode(analysis, segmentations=by_class, segments_per="class")
    numbers = [_sources_of_sizes(group)["Long axis"][0][1] for group in _finding_groups(report)]
    assert numbers == [1, 2, 3, 1, 2, 3]
    other = _encode(analysis, segmentations=_segmented(analysis))
    assert report.SOPInstanceUID != other.SOPInstanceUID


def test_a_report_without_segmentations_is_another_object() -> None:
    """It names none, and has a UID of its own."""
    analysis = _with_findings(header())
    bare = _encode(analysis)
    assert _sources_of_sizes(_finding_groups(bare)[0])["Long axis"] == []
    assert (
        bare.SOPInstanceUID != _encode(analysis, segmentations=_segmented(analysis)).SOPInstanceUID
    )


def test_the_view_and_the_quadrant_stand_in_the_group() -> None:
    """The view as an evaluation, the quadrant as a modifier of the finding site."""
    group = _finding_groups(_encode(_with_findings(header())))[0]
    assert _code(_items(group, "Image View")[0]) == "399162004"
    assert not _items(_items(group, "Finding Site")[0], "Topographical modifier")
    quadrant = _finding_groups(_encode(_with_findings(in_a_quadrant(), view=None)))[0]
    site = _items(quadrant, "Finding Site")[0]
    assert _code(_items(site, "Topographical modifier")[0]) == "76365002"
    assert not _items(quadrant, "Image View")


def test_a_declined_image_was_not_attempted() -> None:
    """The model itself says so; for the study it is one analysis less."""
    source = header()
    declined = outcome(source, model="mtu_net", error="no breast in the image", declined=True)
    report = _encode(_analysis(source, outcome(source), declined))
    group = _run_groups(report)[1]
    assert _code(_items(group, "Summary of Analyses")[0]) == "111225"
    assert "declined this image" in _items(group, "Comment")[0].TextValue
    assert _summary(report)[:2] == ("111243", "111223")


@pytest.mark.parametrize("profile", ["ohif", "plain"])
def test_the_arterial_burden_is_a_group_of_its_breast(profile: str) -> None:
    """After the findings, or with the summary for OHIF; the summary says it in words."""
    report = _encode(_with_findings(header()), profile=profile)
    (group,) = [each for each in _run_groups(report) if _items(each, "Finding Site")]
    parent = group if profile == "plain" else _items(group, "Finding")[0]
    (area,) = _items(parent, "Area of Vascular Calcification")
    assert float(area.MeasuredValueSequence[0].NumericValue) == pytest.approx(12.64)
    assert _code(_items(area, "Derivation")[0]) == "255619001"
    assert "Arterial calcification, left breast: 1 finding(s), 12.6 mm2" in _summary(report)[2]


def test_the_order_is_named_when_the_image_names_it() -> None:
    """Referenced Request Sequence with the accession number; nothing is made up."""
    assert "ReferencedRequestSequence" not in _encode(_with_findings(header()))
    request = Dataset()
    request.RequestedProcedureID, request.RequestedProcedureDescription = "P7", "Screening"
    source = header(AccessionNumber="A-17", RequestAttributesSequence=[request])
    (item,) = _encode(_with_findings(source)).ReferencedRequestSequence
    assert (item.AccessionNumber, item.RequestedProcedureID) == ("A-17", "P7")
    assert item.StudyInstanceUID == source.StudyInstanceUID
    assert not item.FillerOrderNumberImagingServiceRequest
    source.RequestAttributesSequence.append(request)
    (item,) = _encode(_with_findings(source)).ReferencedRequestSequence
    assert not item.RequestedProcedureID


@pytest.mark.parametrize("profile", ["ohif", "plain"])
def test_probabilities_are_numbers_of_the_run(profile: str) -> None:
    """Cancer has a standard code, other classes a private one that the object identifies."""
    source = header()
    run = outcome(source, model="resnet50", probabilities={"cancer": 0.1234, "normal": 0.8766})
    report = _encode(_analysis(source, run), profile=profile)
    group = _run_groups(report)[0]
    parent = _items(group, "Summary of Analyses")[0] if profile == "ohif" else group
    values = {
        item.ConceptNameCodeSequence[0].CodeValue: float(item.MeasuredValueSequence[0].NumericValue)
        for item in parent.ContentSequence
        if item.ValueType == "NUM"
    }
    assert values == {"111047": 12.34, "P_NORMAL": 87.66}
    schemes = [item.CodingSchemeDesignator for item in report.CodingSchemeIdentificationSequence]
    assert schemes == ["99SENTINODE"]


def test_no_group_for_ohif_has_numbers_without_a_contour() -> None:
    """OHIF before 3.12 cannot open a report that has such a group."""
    source = header()
    run = outcome(source, probabilities={"malignant": 0.5})
    for group in _run_groups(_encode(_analysis(source, run))):
        assert all(item.ValueType != "NUM" for item in group.ContentSequence)


def test_the_image_library_lists_every_image() -> None:
    """With modality, side, view, spacing and size, as far as the header goes."""
    left, bare = header(), header(ImageLaterality=None, ViewPosition=None, ImagerPixelSpacing=None)
    report = _encode(_analysis(left, outcome(left)), _analysis(bare, outcome(bare)))
    group = _items(_items(report, "Image Library")[0], "Image Library Group")[0]
    first, second = group.ContentSequence
    assert first.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == left.SOPInstanceUID
    assert _code(_items(first, "Image Laterality")[0]) == "7771000"
    assert _code(_items(first, "Image View")[0]) == "399162004"
    assert second.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == bare.SOPInstanceUID
    assert not _items(second, "Image Laterality")
    assert not _items(second, "Horizontal Pixel Spacing")


def test_the_procedure_reported_is_that_of_the_images() -> None:
    """Imaging, with mammography and ultrasound once each below it."""
    sources = [header(), header(), ultrasound_header()]
    report = _encode(*(_analysis(source, outcome(source)) for source in sources))
    (procedure,) = _items(report, "Procedure reported")
    assert _code(procedure) == "363679005"
    assert [_code(item) for item in _items(procedure, "Modality")] == ["MG", "US"]


def test_a_frame_is_named_where_the_image_has_frames() -> None:
    """Contour, library and run refer to the frame that was analysed."""
    source = ultrasound_header(40)
    run = outcome(source, findings=tuple(findings_of(source)))
    report = _encode(ImageAnalysis(source, "US region", (run,), frame_number=7))
    region = _items(_finding_groups(report)[0], "Image Region")[0]
    references = [
        region.ContentSequence[0],
        _items(_items(report, "Image Library")[0], "Image Library Group")[0].ContentSequence[0],
        _items(_run_groups(report)[0], "Source of Measurement")[0],
    ]
    assert [item.ReferencedSOPSequence[0].ReferencedFrameNumber for item in references] == [7] * 3


def test_a_revision_refers_to_the_report_it_replaces() -> None:
    """Predecessor Documents Sequence; same series, so that viewers show the newest."""
    source = header()
    first = _encode(_with_findings(source))
    second = _encode(_with_findings(source), revision=2, predecessor=first)
    assert "PredecessorDocumentsSequence" not in first
    series = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == first.SeriesInstanceUID == second.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)


def test_nothing_counts_as_verified() -> None:
    """Unverified, preliminary, for research, with the device identified as IHE AIR asks."""
    report = _encode(_with_findings(header()))
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.PreliminaryFlag == "PRELIMINARY"
    assert "research use only" in report.SeriesDescription
    assert _summary(report)[2].startswith("Research use only. Not a medical device.")
    equipment = report.ContributingEquipmentSequence[0]
    purpose = equipment.PurposeOfReferenceCodeSequence[0]
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")
    assert equipment.Manufacturer == "Sentinode"
    assert equipment.ManufacturerModelName == "mask_rcnn_mg"
    assert equipment.SoftwareVersions[0] == "1.0.0"
    assert equipment.DeviceUID
    assert report.DeviceUID == _items(report, "Device Observer UID")[0].UID


def test_a_report_needs_an_analysis() -> None:
    """Without a single run there is nothing to report."""
    with pytest.raises(EncodingError, match="at least one model"):
        _encode(_analysis(header()))


def test_a_bare_header_is_enough() -> None:
    """Missing patient and study attributes become empty ones."""
    source = header(PatientID=None, PatientName=None, StudyDate=None, StudyTime=None)
    report = _encode(_with_findings(source))
    assert "PatientID" in report
    assert not report.PatientID


def test_an_image_without_pixels_is_still_reported() -> None:
    """What could not be decoded is listed, as failed; nothing else of its header is needed."""
    source = header(Rows=None, Columns=None, ImagerPixelSpacing=None)
    report = _encode(_analysis(source, outcome(source, error="the image has no Rows")))
    assert _summary(report)[:2] == ("111245", "111224")


def test_odd_multiplicities_are_left_out() -> None:
    """A spacing of one value or an orientation in one word is no pair."""
    source = header(ImagerPixelSpacing="0.1", PatientOrientation="AF")
    report = _encode(_with_findings(source))
    group = _items(_items(report, "Image Library")[0], "Image Library Group")[0]
    assert not _items(group.ContentSequence[0], "Horizontal Pixel Spacing")
    assert not _items(group.ContentSequence[0], "Patient Orientation Row")
