"""Which objects of a study are written, and what they name."""

from __future__ import annotations

import pytest

from node.destinations import Variant
from tests.results import CONTENT_AT, evidence, findings_of, header, outcome
from workers.analyses import Form, ImageAnalysis, StudyAnalysis
from workers.results import encode_study


def _study() -> StudyAnalysis:
    """One image with findings, one without."""
    found, empty = header(), header()
    empty.StudyInstanceUID = found.StudyInstanceUID
    return StudyAnalysis(
        (
            ImageAnalysis(found, None, (outcome(found, findings=tuple(findings_of(found))),)),
            ImageAnalysis(empty, None, (outcome(empty),)),
        ),
        revision=1,
        content_at=CONTENT_AT,
    )


@pytest.mark.parametrize("variant", ["ohif", "plain", "c-ohif", "c-plain"])
def test_a_report_names_the_segmentations_of_its_variant(variant: Variant) -> None:
    """One segmentation for the image with findings; the other image is evidence all the same."""
    study = _study()
    wanted: set[Form] = {("SEG", variant), ("SR", variant)}
    segmentation, report = encode_study(study, wanted)
    assert (segmentation.kind, report.kind) == ("SEG", "SR")
    assert segmentation.variant == report.variant == variant
    assert segmentation.source_sop_uid == study.analyses[0].source.SOPInstanceUID
    images = {analysis.source.SOPInstanceUID for analysis in study.analyses}
    assert evidence(report.dataset) == images | {segmentation.dataset.SOPInstanceUID}


def test_every_variant_is_an_object_of_its_own() -> None:
    """Other bytes, hence other UIDs."""
    variants: tuple[Variant, ...] = ("ohif", "plain", "c-ohif", "c-plain")
    wanted: set[Form] = {(kind, variant) for kind in ("SEG", "SR") for variant in variants}
    results = list(encode_study(_study(), wanted))
    assert len(results) == len({each.dataset.SOPInstanceUID for each in results}) == 8


def test_a_report_alone_names_no_segmentation() -> None:
    """No archive would have it."""
    study = _study()
    (report,) = encode_study(study, {("SR", "plain")})
    images = {analysis.source.SOPInstanceUID for analysis in study.analyses}
    assert evidence(report.dataset) == images
    assert "Referenced Segment" not in str(report.dataset)
