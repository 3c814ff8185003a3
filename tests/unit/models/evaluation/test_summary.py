from __future__ import annotations

import math
from functools import partial

import pytest

from models.contract import FindingKind
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import Counts
from models.evaluation.summary import (
    classification_figures,
    detection_figures,
    froc,
    intervals,
)

MASS = FindingKind.MASS


def detected(found: list[float], false: list[float], pixels: Counts | None = None) -> ImageResult:
    return ImageResult(
        "x",
        "malignant" if found else "normal",
        {},
        tuple((MASS, score) for score in found),
        tuple((MASS, score) for score in false),
        pixels or Counts(0, 0, 1, 0),
    )


RESULTS = [
    detected([0.9, 0.0], [0.6], Counts(tp=50, fp=10, tn=0, fn=40)),
    detected([0.4], [], Counts(tp=0, fp=0, tn=0, fn=30)),
    detected([], [0.8, 0.3]),
    detected([], []),
]


def test_detection_figures_by_hand() -> None:
    """At 0.5: one of three lesions, two false marks in four images, and the image table."""
    figures = detection_figures(RESULTS, {MASS: 0.5})
    assert figures["sensitivity"] == pytest.approx(1 / 3)
    assert figures["false_positives_per_image"] == pytest.approx(0.5)
    assert figures["dice"] == pytest.approx((100 / 150 + 0) / 2)
    assert figures["jaccard"] == pytest.approx(50 / 100 / 2)
    assert (figures["recall"], figures["specificity"]) == (0.5, 0.5)
    assert figures["auc"] == pytest.approx(0.75)


def test_froc_rises_to_what_was_ever_found() -> None:
    """The curve ends at all false marks and every lesion that some region hit."""
    points = froc(RESULTS)
    assert points[0] == (0.0, pytest.approx(1 / 3))
    assert points[-1] == (0.75, pytest.approx(2 / 3))
    assert points == sorted(points)


def test_froc_without_lesions_is_empty() -> None:
    """No lesion, no curve."""
    assert froc([detected([], [0.5])]) == []


def test_classification_figures_by_hand() -> None:
    """Malignant against the rest at one half; accuracy over three classes."""
    rows = [
        ("normal", (0.7, 0.2, 0.1)),
        ("benign", (0.5, 0.4, 0.1)),
        ("malignant", (0.1, 0.2, 0.7)),
        ("malignant", (0.2, 0.5, 0.3)),
    ]
    results = [
        ImageResult(
            "x", label, dict(zip(("normal", "benign", "malignant"), row, strict=True)), *[None] * 3
        )
        for label, row in rows
    ]
    figures = classification_figures(results, {"malignant": 0.5})
    assert figures["accuracy"] == pytest.approx(0.5)
    assert figures["sensitivity"] == figures["recall"] == pytest.approx(0.5)
    assert figures["specificity"] == 1.0
    assert figures["auc"] == 1.0


def test_intervals_hold_the_figure_and_repeat() -> None:
    """Bounds enclose the figure, repeat with the seed, and are None where it is undefined."""
    summarise = partial(detection_figures, thresholds={MASS: 0.5})
    bounds = intervals(RESULTS * 10, summarise)
    low, high = bounds["sensitivity"]
    assert low < 1 / 3 < high
    assert bounds == intervals(RESULTS * 10, summarise)
    normals = [detected([], [])] * 3
    assert intervals(normals, summarise)["sensitivity"] is None
    assert math.isnan(summarise(normals)["sensitivity"])
