"""The Mammography CAD report of one study revision, read back without the encoder's help."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from models.contract import FindingKind
from models.registry import MODELS
from node.errors import EncodingError
from tests.cad_studies import (
    CALCIFICATIONS,
    MASSES,
    analysis,
    classified,
    encoded,
    encoded_study,
    marked,
    part10,
    run,
)
from tests.results import CONTENT_AT, evidence, finding, header, outcome, ultrasound_header
from workers.analyses import StudyAnalysis
from workers.cad_report import encode_cad_report
from workers.dicom.cad_codes import KIND_OF_CLASS
from workers.findings import Finding, RunOutcome
from workers.results import encode_study


def _children(item: Dataset, name: str) -> list[Dataset]:
    """Children by the code value of their concept name."""
    return [
        child
        for child in item.get("ContentSequence") or ()
        if "ConceptNameCodeSequence" in child and child.ConceptNameCodeSequence[0].CodeValue == name
    ]


def _code(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def _number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def _findings(report: Dataset) -> list[Dataset]:
    """Every Single Image Finding."""
    (overall,) = _children(report, "111017")
    return [
        found
        for impression in _children(overall, "111034")
        for found in _children(impression, "111059")
    ]


def _points(item: Dataset) -> np.ndarray:
    return np.reshape(np.array(item.GraphicData, dtype=float), (-1, 2))


def _image_of(report: Dataset, coordinates: Dataset) -> str:
    """The SOP Instance UID that coordinates refer to, followed through the tree by hand."""
    item = report
    for number in list(coordinates.ContentSequence[0].ReferencedContentItemIdentifier)[1:]:
        item = item.ContentSequence[number - 1]
    return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def _intents(run: RunOutcome, source: Dataset, **changes: Any) -> list[str]:
    """The rendering intents of a study with one image, below the container and the finding."""
    report = encoded([analysis(source, run)], **changes)
    (overall,) = _children(report, "111017")
    return [
        _code(_children(item, "111056")[0])
        for impression in _children(overall, "111034")
        for item in (impression, *_children(impression, "111059"))
    ]


def test_the_findings_read_back_are_those_written() -> None:
    """Kind, score, centre, outline, identity and image of each, in order."""
    analyses, report = encoded_study("with findings")
    written = [found for each in analyses for found in each.findings]
    read = _findings(report)
    kinds = {
        FindingKind.MASS: "129793001",
        FindingKind.CALCIFICATION_CLUSTER: "129769006",
        FindingKind.ARTERIAL_CALCIFICATION: "129770007",
    }
    assert len(written) == 12
    for item, found in zip(read, written, strict=True):
        (centre,), (outline,) = _children(item, "111010"), _children(item, "111041")
        assert _code(item) == kinds[found.kind]
        assert _number(_children(item, "111012")[0]) == pytest.approx(100 * found.score, abs=0.01)
        np.testing.assert_allclose(_points(outline)[:-1], found.contour_px, atol=0.01)
        np.testing.assert_array_equal(_points(outline)[0], _points(outline)[-1])
        np.testing.assert_allclose(_points(centre)[0], _middle(found), atol=0.51)
        assert found.tracking_uid == _children(item, "112040")[0].UID
        assert _image_of(report, centre) == _image_of(report, outline) == found.source_sop_uid


def _middle(found: Finding) -> tuple[float, float]:
    """Of a round finding: the middle of its box."""
    x0, y0, x1, y1 = found.box_px
    return (x0 + x1) / 2, (y0 + y1) / 2


def test_an_artery_is_a_vascular_calcification_with_its_area() -> None:
    """Type and Area of Vascular Calcification, no axes."""
    source = header()
    report = encoded([analysis(source, marked(source, CALCIFICATIONS))])
    cluster, artery = _findings(report)
    assert _code(_children(artery, "111009")[0]) == "129759000"
    assert _number(_children(artery, "112196")[0]) > 0
    assert not _children(artery, "103339001")
    assert _number(_children(cluster, "103339001")[0]) > 0
    assert not _children(cluster, "111009")


def test_no_finding_claims_a_probability_of_cancer() -> None:
    """A score is certainty; the classifier's probability is of an image."""
    report = encoded_study("with findings")[1]
    assert not [item for found in _findings(report) for item in _children(found, "111047")]


@pytest.mark.parametrize(
    ("name", "overall", "detections", "analyses", "flag"),
    [
        ("with findings", "111242", "111222", "111222", "COMPLETE"),
        ("without findings", "111241", "111222", "111222", "COMPLETE"),
        ("one model failed", "111244", "111223", "111222", "PARTIAL"),
        ("failed on one image", "111243", "111223", "111223", "PARTIAL"),
        ("all failed", "111245", "111224", "111224", "PARTIAL"),
        ("detectors alone", "111242", "111222", "111225", "COMPLETE"),
        ("classifier alone", "111241", "111225", "111222", "COMPLETE"),
    ],
)
def test_every_state_is_told_in_codes(
    name: str, overall: str, detections: str, analyses: str, flag: str
) -> None:
    """Findings summary, detections, analyses, completion."""
    report = encoded_study(name)[1]
    codes = [_code(_children(report, value)[0]) for value in ("111017", "111064", "111065")]
    assert codes == [overall, detections, analyses]
    assert report.CompletionFlag == flag


def test_what_failed_is_named_with_its_images() -> None:
    """Algorithm and image by image; the reason stands in the text."""
    report = encoded_study("failed on one image")[1]
    (summary,) = _children(report, "111064")
    outcomes = {
        state: {
            (_code(performed), path.ReferencedContentItemIdentifier[-1])
            for container in _children(summary, name)
            for performed in container.ContentSequence
            for path in performed.ContentSequence
            if "ReferencedContentItemIdentifier" in path
        }
        for state, name in (("succeeded", "111063"), ("failed", "111025"))
    }
    kinds = {"129793001", "129769006", "129770007"}
    assert outcomes["failed"] == {(kind, 1) for kind in kinds}
    assert outcomes["succeeded"] == {(kind, image) for kind in kinds for image in (2, 3, 4)}
    text = _children(_children(report, "111017")[0], "111033")[0].TextValue
    assert "INCOMPLETE: 3 of 12 analyses failed." in text
    assert "the pixels cannot be read" in text
    assert "Image 1, MG L CC: mask_rcnn_mg" in text
    assert "Image 1, MG L CC: mask_rcnn_mg 1 succeeded" not in text


def test_probabilities_and_the_statement_on_research_use_are_in_the_text() -> None:
    """Where the templates leave room for a sentence."""
    source = header()
    report = encoded([analysis(source, classified(source))])
    text = _children(_children(report, "111017")[0], "111033")[0].TextValue
    assert text.startswith("Research use only. Not a medical device.")
    version = MODELS["resnet50"].spec.version
    assert f"resnet50 {version}: benign 20 %, malignant 10 %, normal 70 %." in text


def test_an_ultrasound_study_has_no_cad_report() -> None:
    """Neither from the encoder nor from the stage."""
    source = ultrasound_header()
    analyses = [analysis(source, run(source, "mask_rcnn_us"))]
    report = encode_cad_report(analyses, revision=1, content_at=CONTENT_AT, predecessor=None)
    assert report is None
    study = StudyAnalysis(tuple(analyses), 1, CONTENT_AT)
    assert list(encode_study(study, {("CADSR", "")})) == []


def test_the_stage_writes_one_report_per_study() -> None:
    """About no single image, in the form that destinations ask for."""
    study = StudyAnalysis(tuple(encoded_study("with findings")[0]), 1, CONTENT_AT)
    (result,) = encode_study(study, {("CADSR", "")})
    assert (result.kind, result.variant, result.source_sop_uid) == ("CADSR", "", None)
    assert result.dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.50"


def test_ultrasound_beside_mammograms_is_left_out() -> None:
    """Of the library, the evidence and the counts."""
    ultrasound, mammogram = encoded_study("with ultrasound")[0]
    report = encoded([ultrasound, mammogram])
    (library,) = _children(report, "111028")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    uid = mammogram.source.SOPInstanceUID
    for (item,) in (
        [entry.ReferencedSOPSequence[0] for entry in library.ContentSequence],
        list(series.ReferencedSOPSequence),
    ):
        assert item.ReferencedSOPInstanceUID == uid
    assert "mask_rcnn_us" not in str(report)


def test_every_mammogram_is_evidence() -> None:
    """(0040,A375), findings or not."""
    analyses, report = encoded_study("without findings")
    assert evidence(report) == {each.source.SOPInstanceUID for each in analyses}


@pytest.mark.parametrize(
    ("score", "intent"), [(0.73, "111150"), (0.95, "111150"), (0.72, "111151")]
)
def test_the_operating_point_decides_the_rendering_intent(score: float, intent: str) -> None:
    """At the point and above it must be shown; the container says what its finding says."""
    source = header()
    assert _intents(marked(source, MASSES, score=score), source) == [intent, intent]


def test_another_version_s_findings_were_at_its_operating_point() -> None:
    """Without that version's spec, what it reported must be shown, and no point is claimed."""
    source = header()
    old = outcome(source, findings=(finding(score=0.2),), model_version="0")
    assert _intents(old, source) == ["111150", "111150"]
    (found,) = _findings(encoded([analysis(source, old)]))
    assert not _children(found, "111002")


def test_a_site_may_ask_for_surer_findings() -> None:
    """Its score counts where it is above the operating point, kind by kind."""
    source = header()
    scores = {"mass": 0.96, "calcification_cluster": 0.1}
    assert _intents(marked(source, MASSES), source, presentation_scores=scores) == ["111151"] * 2
    clusters = _intents(marked(source, CALCIFICATIONS), source, presentation_scores=scores)
    assert clusters == ["111150"] * 4


def test_another_choice_of_the_site_makes_another_object() -> None:
    """Other bytes never stand under a UID that an archive may know."""
    analyses, report = encoded_study("with findings")
    other = encoded(analyses, presentation_scores={"mass": 0.96})
    assert other.SOPInstanceUID != report.SOPInstanceUID
    assert other.SeriesInstanceUID == report.SeriesInstanceUID


def test_encoding_again_gives_the_same_bytes() -> None:
    """Nothing is drawn at random or read from the clock."""
    analyses = encoded_study("with findings")[0]
    first, second = (
        encode_cad_report(analyses, revision=1, content_at=CONTENT_AT, predecessor=None)
        for _ in range(2)
    )
    assert first is not None
    assert second is not None
    assert part10(first) == part10(second)


def test_a_revision_refers_to_the_report_it_replaces() -> None:
    """Predecessor Documents Sequence; same series, another instance."""
    analyses, first = encoded_study("without findings")
    second = encoded(analyses, revision=2, predecessor=first)
    assert "PredecessorDocumentsSequence" not in first
    (study,) = second.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert instance.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert instance.ReferencedSOPClassUID == first.SOPClassUID
    assert series.SeriesInstanceUID == first.SeriesInstanceUID == second.SeriesInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)


def test_every_detector_of_mammograms_says_what_it_detects() -> None:
    """A new model without an entry in the code table would be missing from the summaries."""
    for model in MODELS.values():
        if model.spec.modality == "MG" and model.spec.task != "classification":
            assert set(model.spec.thresholds) <= set(KIND_OF_CLASS)


def test_a_model_that_does_not_exist_is_refused_by_name() -> None:
    """What it detects could not be said."""
    source = header()
    with pytest.raises(EncodingError, match="night_owl"):
        encoded([analysis(source, outcome(source, model="night_owl"))])


def test_code_meanings_have_no_invisible_characters() -> None:
    """The web pages of the standard break long words; readers compare meanings."""
    report = encoded_study("with findings")[1]
    meanings = {element.value for element in report.iterall() if element.keyword == "CodeMeaning"}
    assert "Individual Impression/Recommendation" in meanings
    assert all(meaning.isprintable() for meaning in meanings)


def test_the_order_of_the_images_is_named() -> None:
    """Referenced Request Sequence, where the images carry an accession number."""
    with_order, without = header(AccessionNumber="A-17"), header()
    report = encoded([analysis(with_order, run(with_order, MASSES))])
    assert report.ReferencedRequestSequence[0].AccessionNumber == "A-17"
    report = encoded([analysis(without, run(without, MASSES))])
    assert "ReferencedRequestSequence" not in report


def test_findings_stand_in_the_order_of_the_images() -> None:
    """And within an image in the order of the runs."""
    report = encoded_study("with findings")[1]
    positions = [
        item.ContentSequence[0].ReferencedContentItemIdentifier[-1]
        for found in _findings(report)
        for item in _children(found, "111010")
    ]
    assert all(first <= second for first, second in pairwise(positions))
