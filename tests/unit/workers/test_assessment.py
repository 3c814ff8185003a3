"""The OR of mammogram and ultrasound: what is positive, what is not, and what nobody knows."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from pydicom.dataset import Dataset

from models.contract import FindingKind
from models.registry import MODELS
from tests.results import finding, header, outcome, ultrasound_header
from workers.analyses import ImageAnalysis
from workers.assessment import Source, Verdict, breasts_of, either, sources_of
from workers.findings import RunOutcome

P, N, U, X = Verdict.POSITIVE, Verdict.NEGATIVE, Verdict.UNKNOWN, Verdict.NOT_EXAMINED


def run(source: Dataset, model: str, **changes: Any) -> RunOutcome:
    """A run of the installed version of a model."""
    return outcome(
        source, **{"model": model, "model_version": MODELS[model].spec.version} | changes
    )


def analysis(source: Dataset, *runs: RunOutcome) -> ImageAnalysis:
    return ImageAnalysis(source, None, runs)


def mammogram_source(*runs: RunOutcome) -> Source:
    return Source("MG", (analysis(header(), *runs),))


@pytest.mark.parametrize(
    ("mammogram", "ultrasound", "expected"),
    [
        *((P, each, P) for each in Verdict),
        *((each, P, P) for each in Verdict),
        (N, N, N),
        (N, X, N),
        (X, N, N),
        (X, X, X),
        *((U, each, U) for each in (N, U, X)),
        *((each, U, U) for each in (N, X)),
    ],
)
def test_or_of_two_sources(mammogram: Verdict, ultrasound: Verdict, expected: Verdict) -> None:
    """Positive wins; what failed is never negative; what was not made says nothing."""
    assert either([mammogram, ultrasound]) is expected


def test_no_or_with_a_failed_source_is_negative() -> None:
    """Of all pairs with "cannot be assessed", none comes out negative or not examined."""
    for pair in product(Verdict, Verdict):
        if U in pair:
            assert either(pair) in (P, U)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FindingKind.MASS, P),
        (FindingKind.CALCIFICATION_CLUSTER, P),
        (FindingKind.ARTERIAL_CALCIFICATION, N),
    ],
)
def test_which_findings_are_signs_of_cancer(kind: FindingKind, expected: Verdict) -> None:
    """Calcified arteries are reported, and make nobody positive."""
    source = header()
    found = finding(kind=kind, score=0.95)
    assert mammogram_source(run(source, "mtu_net", findings=(found,))).verdict is expected


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ({"malignant": 0.5, "normal": 0.5}, P),
        ({"malignant": 0.499, "normal": 0.501}, N),
        ({"benign": 0.99, "malignant": 0.01}, N),
    ],
)
def test_a_probability_counts_from_its_operating_point(
    probabilities: dict[str, float], expected: Verdict
) -> None:
    """Only the class malignant, and only from 0.5, which is the classifier's operating point."""
    source = header()
    assert (
        mammogram_source(run(source, "resnet50", probabilities=probabilities)).verdict is expected
    )


def test_a_failure_is_no_negative_result() -> None:
    """One failed model leaves the source open, unless another was positive."""
    source = header()
    failed = run(source, "mtu_net", error="Triton did not answer")
    silent = run(source, "mask_rcnn_mg")
    marked = run(source, "mask_rcnn_mg", findings=(finding(),))
    assert mammogram_source(silent).verdict is N
    assert mammogram_source(silent, failed).verdict is U
    assert mammogram_source(marked, failed).verdict is P
    declined = run(source, "resnet50", error="no breast in it", declined=True)
    assert mammogram_source(silent, declined).verdict is U


def test_an_operating_point_belongs_to_a_version() -> None:
    """A probability of another version of the model judges nothing; its findings are its own."""
    source = header()
    old = run(source, "resnet50", model_version="0.1", probabilities={"malignant": 0.9})
    assert mammogram_source(old).verdict is U
    assert mammogram_source(old).signs == []
    marked = run(source, "mask_rcnn_mg", model_version="0.1", findings=(finding(),))
    assert mammogram_source(marked).verdict is P
    assert mammogram_source(marked).signs[0].operating_point is None


def test_the_best_sign_of_each_model_is_told() -> None:
    """One line per model and kind, with its highest score and its operating point."""
    source = header()
    found = tuple(finding(score=score, number=n) for n, score in enumerate((0.8, 0.9), start=1))
    (sign,) = mammogram_source(run(source, "mask_rcnn_mg", findings=found)).signs
    assert (sign.name, sign.score) == ("Mass", 0.9)
    assert sign.operating_point == MODELS["mask_rcnn_mg"].spec.thresholds["mass"]


def test_breasts_are_assessed_apart() -> None:
    """Left positive by mammogram, right by ultrasound; each source says which."""
    left, right = header(ImageLaterality="L"), header(ImageLaterality="R")
    scan = ultrasound_header()
    scan.ImageLaterality = "R"
    analyses = [
        analysis(left, run(left, "mask_rcnn_mg", findings=(finding(),))),
        analysis(right, run(right, "mask_rcnn_mg")),
        analysis(scan, run(scan, "mask_rcnn_us", findings=(finding(),))),
    ]
    one, other = breasts_of(analyses)
    assert [one.laterality, *(each.verdict for each in one.sources), one.either] == ["L", P, X, P]
    assert [other.laterality, *(each.verdict for each in other.sources), other.either] == [
        *("R", N, P, P)
    ]
    assert [each.verdict for each in sources_of(analyses)] == [P, P]


@pytest.mark.parametrize("unsided", ["positive", "failed", "negative"])
def test_an_image_without_a_side_may_be_of_either_breast(unsided: str) -> None:
    """No breast is negative while an image that may be of it is not."""
    left, scan = header(ImageLaterality="L"), ultrasound_header()
    del scan.ImageLaterality
    changes: dict[str, Any] = {
        "positive": {"findings": (finding(),)},
        "failed": {"error": "Triton did not answer"},
        "negative": {},
    }[unsided]
    analyses = [
        analysis(left, run(left, "mask_rcnn_mg")),
        analysis(scan, run(scan, "mask_rcnn_us", **changes)),
    ]
    breasts = {each.laterality: each.either for each in breasts_of(analyses)}
    assert breasts["L"] is (N if unsided == "negative" else U)
    assert breasts[None] is {"positive": P, "failed": U, "negative": N}[unsided]
