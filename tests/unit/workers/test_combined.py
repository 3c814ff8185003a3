"""The combined report: structure, what it says of failures, and the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from highdicom.sr.utils import find_content_items
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from models.registry import MODELS
from node.errors import EncodingError
from tests.combined_studies import STATES, combined, mammogram, scan
from tests.results import CONTENT_AT, finding, referenced
from workers.analyses import StudyAnalysis
from workers.analysis import _results
from workers.combined import Partner, encode_combined
from workers.dicom.writing import part10

MG, US, EITHER = "ASSESS_MG", "ASSESS_US", "ASSESS_EITHER"
POSITIVE, NEGATIVE, UNKNOWN, NOT_EXAMINED = "10828004", "260385009", "373068000", "111225"


def overall(report: Dataset, name: str) -> str:
    """The value of an assessment of the whole patient."""
    return _value(report.ContentSequence[-1], name)


def of_breast(report: Dataset, side: str, name: str) -> str:
    """The value of an assessment of one breast."""
    for group in report.ContentSequence[-1].ContentSequence:
        if group.ValueType != "CONTAINER":
            continue
        tracking = group.ContentSequence[0].TextValue
        if tracking.startswith(side):
            return _value(group, name)
    raise AssertionError(f"no group for {side}")


def _value(container: Dataset, name: str) -> str:
    (item,) = [
        each
        for each in container.ContentSequence
        if each.ConceptNameCodeSequence[0].CodeValue == name
    ]
    return str(item.ConceptCodeSequence[0].CodeValue)


def test_both_studies_are_evidence_each_in_its_sequence() -> None:
    """PS3.3 C.17.2.3: the other study's images are pertinent other evidence; nothing is both."""
    own, other = mammogram(), scan()
    report = combined(own, other)
    assert referenced(report, "CurrentRequestedProcedureEvidenceSequence") == {
        str(own.source.StudyInstanceUID): {str(own.source.SOPInstanceUID)}
    }
    assert referenced(report, "PertinentOtherEvidenceSequence") == {
        str(other.source.StudyInstanceUID): {str(other.source.SOPInstanceUID)}
    }
    assert report.StudyInstanceUID == own.source.StudyInstanceUID


def test_one_study_with_both_has_no_other_evidence() -> None:
    """Mammogram and ultrasound of one study: one evidence sequence, one library group."""
    own, other = mammogram(), scan()
    other.source.StudyInstanceUID = own.source.StudyInstanceUID
    report = encode_combined(StudyAnalysis((own, other), 1, CONTENT_AT), Partner())
    assert "PertinentOtherEvidenceSequence" not in report
    library = report.ContentSequence[-3]
    assert len(library.ContentSequence) == 1


@pytest.mark.parametrize(
    ("mammogram_says", "ultrasound_says", "expected"),
    [
        ("positive", "negative", (POSITIVE, NEGATIVE, POSITIVE)),
        ("negative", "positive", (NEGATIVE, POSITIVE, POSITIVE)),
        ("negative", "negative", (NEGATIVE, NEGATIVE, NEGATIVE)),
        ("failed", "negative", (UNKNOWN, NEGATIVE, UNKNOWN)),
        ("negative", "failed", (NEGATIVE, UNKNOWN, UNKNOWN)),
        ("failed", "positive", (UNKNOWN, POSITIVE, POSITIVE)),
        ("failed", "failed", (UNKNOWN, UNKNOWN, UNKNOWN)),
    ],
)
def test_the_or_is_coded_for_patient_and_breast(
    mammogram_says: str, ultrasound_says: str, expected: tuple[str, str, str]
) -> None:
    """What each source says, and either; a failure is told, and the report is partial."""
    report = combined(mammogram(**STATES[mammogram_says]), scan(**STATES[ultrasound_says]))
    assert tuple(overall(report, name) for name in (MG, US, EITHER)) == expected
    assert tuple(of_breast(report, "Left", name) for name in (MG, US, EITHER)) == expected
    failed = "failed" in (mammogram_says, ultrasound_says)
    assert report.CompletionFlag == ("PARTIAL" if failed else "COMPLETE")
    text = summary_of(report)
    assert ("FAILED" in text) == failed
    assert ("cannot be assessed" in text) == failed
    assert "no findings" not in text.lower()


def summary_of(report: Dataset) -> str:
    (summary,) = find_content_items(report, name=Code("121111", "DCM", "Summary"), recursive=True)
    return str(summary.TextValue)


def test_a_breast_without_ultrasound_says_so() -> None:
    """Not Attempted, and the mammogram alone decides."""
    report = combined(mammogram("R"), scan("L", findings=(finding(),)))
    assert of_breast(report, "Right", US) == NOT_EXAMINED
    assert of_breast(report, "Right", EITHER) == NEGATIVE
    assert of_breast(report, "Left", MG) == NOT_EXAMINED
    assert of_breast(report, "Left", EITHER) == POSITIVE


def test_scores_stand_with_their_operating_points_and_images() -> None:
    """One number for each sign: its model, the image it was seen on, the operating point below."""
    own, other = mammogram(findings=(finding(score=0.87),)), scan(findings=(finding(score=0.4),))
    report = combined(own, other)
    numbers = [
        each
        for each in find_content_items(report, value_type="NUM", recursive=True)
        if each.RelationshipType == "CONTAINS"
    ]
    assert [float(each.MeasuredValueSequence[0].NumericValue) for each in numbers] == [87.0, 40.0]
    for number, analysis, model in zip(
        numbers, (own, other), ("mask_rcnn_mg", "mask_rcnn_us"), strict=True
    ):
        (point,) = find_content_items(
            number, name=Code("OPERATING_POINT", "99SENTINODE", "Operating point")
        )
        threshold = MODELS[model].spec.thresholds["mass"]
        assert float(point.MeasuredValueSequence[0].NumericValue) == 100 * threshold
        (image,) = find_content_items(number, value_type="IMAGE")
        seen_on = image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert seen_on == analysis.source.SOPInstanceUID


def test_every_image_of_both_is_in_the_library_with_its_frame() -> None:
    """One group for each study, the frame of a loop named."""
    own, other = mammogram(), scan(frames=30)
    report = combined(own, other)
    library = report.ContentSequence[-3]
    entries = [
        each.ReferencedSOPSequence[0]
        for group in library.ContentSequence
        for each in group.ContentSequence
        if each.ValueType == "IMAGE"
    ]
    assert [str(each.ReferencedSOPInstanceUID) for each in entries] == [
        str(own.source.SOPInstanceUID),
        str(other.source.SOPInstanceUID),
    ]
    assert entries[1].ReferencedFrameNumber == 1


def test_encoding_again_gives_the_same_bytes() -> None:
    """UIDs are derived and times are the study's; another revision is another object."""
    own, other = mammogram(findings=(finding(),)), scan()
    assert part10(combined(own, other)) == part10(combined(own, other))
    second = combined(own, other, revision=2)
    assert second.SOPInstanceUID != combined(own, other).SOPInstanceUID
    assert second.SeriesInstanceUID == combined(own, other).SeriesInstanceUID


def test_the_predecessor_may_be_of_the_other_study() -> None:
    """Predecessor Documents Sequence names study, series and instance."""
    own, other = mammogram(), scan()
    first = encode_combined(StudyAnalysis((other,), 1, CONTENT_AT), Partner((own,)))
    second = combined(own, other, predecessor=first)
    assert referenced(second, "PredecessorDocumentsSequence") == {
        str(other.source.StudyInstanceUID): {str(first.SOPInstanceUID)}
    }
    assert "PredecessorDocumentsSequence" not in first


def test_the_request_of_the_own_study_is_named() -> None:
    """Referenced Request Sequence as in the report of the study, where its images name one."""
    own, other = mammogram(), scan()
    assert "ReferencedRequestSequence" not in combined(own, other)
    own.source.AccessionNumber = "A-1"
    other.source.AccessionNumber = "B-2"
    request = Dataset()
    request.RequestedProcedureID = "RP-1"
    own.source.RequestAttributesSequence = [request]
    (named,) = combined(own, other).ReferencedRequestSequence
    assert (named.AccessionNumber, named.RequestedProcedureID) == ("A-1", "RP-1")


def test_files_of_both_give_a_combined_report_without_a_node(tmp_path: Path) -> None:
    """`sentinode analyze` writes it where the files of one study hold both, and not else."""
    own, other = mammogram(), scan()
    other.source.StudyInstanceUID = own.source.StudyInstanceUID
    for analyses, kinds in (([own], {"SR"}), ([own, other], {"SR", "COMBINED"})):
        written = [Path(path).name.partition("-")[0] for path in _results(tmp_path, analyses)]
        assert set(written) == kinds


def test_one_modality_alone_is_refused() -> None:
    """Nothing is combined with nothing."""
    with pytest.raises(EncodingError, match="no ultrasound"):
        combined(mammogram(), mammogram("R"))


def test_nothing_counts_as_verified() -> None:
    """Unverified and preliminary; research use is said in the first line."""
    report = combined(mammogram(), scan())
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert summary_of(report).startswith("Research use only. Not a medical device.")
