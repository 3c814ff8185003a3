from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from models.contract import FindingKind
from models.evaluation import bootstrap
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import Counts
from models.evaluation.tally import Tally

MASS = FindingKind.MASS
KINDS = frozenset({MASS})


def detected(
    found: list[float], false: list[float], pixels: Counts | None = None, group: str = ""
) -> ImageResult:
    return ImageResult(
        "x",
        "malignant" if found else "normal",
        {},
        tuple((MASS, score) for score in found),
        tuple((MASS, score) for score in false),
        pixels or Counts(0, 0, 1, 0),
        tuple(0.8 if score else 0.0 for score in found),
        group=group,
    )


RESULTS = [
    detected([0.9, 0.0], [0.6], Counts(tp=50, fp=10, tn=0, fn=40)),
    detected([0.4], [], Counts(tp=0, fp=0, tn=0, fn=30)),
    detected([], [0.8, 0.3]),
    detected([], []),
]
ONCE = np.ones(len(RESULTS))


def tally(results: list[ImageResult] = RESULTS, threshold: float = 0.5) -> Tally:
    return Tally(results, {MASS: threshold}, KINDS)


def test_figures_by_hand() -> None:
    """At 0.5: one of three lesions, two false marks in four images, and the image table."""
    figures = tally().figures(ONCE)
    assert figures["sensitivity"] == pytest.approx(1 / 3)
    assert figures["false_positives_per_image"] == pytest.approx(0.5)
    assert figures["dice"] == pytest.approx((100 / 150 + 0) / 2)
    assert figures["jaccard"] == pytest.approx(50 / 100 / 2)
    assert figures["dice_detected"] == pytest.approx(0.8)
    assert figures["jaccard_detected"] == pytest.approx(0.8 / 1.2)
    assert figures["lesion_precision"] == pytest.approx(1 / 3)
    assert (figures["recall"], figures["specificity"]) == (0.5, 0.5)
    assert figures["auc"] == pytest.approx(0.75)


def test_weights_are_repetitions() -> None:
    """An image that counts twice is an image that stands there twice, in every figure."""
    weight = np.array([2.0, 0.0, 1.0, 3.0])
    repeated = [r for r, n in zip(RESULTS, weight, strict=True) for _ in range(int(n))]
    once = np.ones(len(repeated))
    assert tally().figures(weight) == pytest.approx(tally(repeated).figures(once))
    assert tally().pixel_figures(weight) == pytest.approx(
        tally(repeated).pixel_figures(once), nan_ok=True
    )
    rates = np.array([0.0, 0.3, 0.5, 2.0])
    np.testing.assert_allclose(
        tally().sensitivity_at(rates, weight), tally(repeated).sensitivity_at(rates, once)
    )


def test_froc_rises_to_what_was_ever_found() -> None:
    """The curve ends at all false marks and every lesion that some region hit."""
    points = tally().froc()
    assert points[0] == (0.0, pytest.approx(1 / 3))
    assert points[-1] == (0.75, pytest.approx(2 / 3))
    assert points == sorted(points)
    assert tally([detected([], [0.5])]).froc() == []


def test_sensitivity_at_fixed_false_marks_is_the_froc() -> None:
    """At every rate the best sensitivity among the curve's points that do not exceed it."""
    rng = np.random.default_rng(5)
    results = [
        detected(
            np.round(0.1 + 0.9 * rng.random(rng.integers(3)), 2).tolist(),
            np.round(0.1 + 0.9 * rng.random(rng.integers(4)), 2).tolist(),
        )
        for _ in range(60)
    ]
    rates = np.array([0.0, 0.1, 0.25, 0.5, 1.0, 9.0])
    points = tally(results).froc()
    expected = [max([y for x, y in points if x <= rate], default=0.0) for rate in rates]
    np.testing.assert_allclose(tally(results).sensitivity_at(rates, np.ones(60)), expected)


def test_kinds_are_counted_apart() -> None:
    """A tally of one kind does not see the lesions and marks of another."""
    cluster = FindingKind.CALCIFICATION_CLUSTER
    result = ImageResult(
        "x", None, {}, ((MASS, 0.9), (cluster, 0.0)), ((cluster, 0.7),), Counts(5, 5, 5, 5),
        (0.7, 0.0), {MASS: Counts(4, 0, 16, 0), cluster: Counts(0, 3, 14, 3)},
    )  # fmt: skip
    thresholds = {MASS: 0.5, cluster: 0.5}
    once = np.ones(1)
    masses = Tally([result], thresholds, KINDS)
    assert masses.figures(once)["sensitivity"] == 1.0
    assert masses.figures(once)["false_positives_per_image"] == 0.0
    assert masses.pixel_figures(once)["dice"] == 1.0
    clusters = Tally([result], thresholds, frozenset({cluster}))
    assert clusters.figures(once)["sensitivity"] == 0.0
    assert clusters.pixel_figures(once)["dice"] == 0.0


def test_intervals_hold_the_figure_and_repeat() -> None:
    """Bounds enclose the figure, repeat with the seed, and are None where it is undefined."""
    many = tally(RESULTS * 10)
    bounds = bootstrap.intervals([""] * 40, many.figures)
    assert bounds["sensitivity"] is not None
    low, high = bounds["sensitivity"]
    assert low < 1 / 3 < high
    assert bounds == bootstrap.intervals([""] * 40, many.figures)
    normals = tally([detected([], [])] * 3)
    assert bootstrap.intervals([""] * 3, normals.figures)["sensitivity"] is None
    assert math.isnan(normals.figures(np.ones(3))["sensitivity"])


def test_groups_are_drawn_together() -> None:
    """Ten copies of one patient's images tell no more than one: the interval stays as wide."""
    rng = np.random.default_rng(0)
    single = [detected([float(score)], []) for score in rng.random(30)]
    copies = [result for result in single for _ in range(10)]
    groups = [str(number) for number in range(30) for _ in range(10)]
    alone = bootstrap.intervals([""] * 30, tally(single).figures)["sensitivity"]
    together = bootstrap.intervals(groups, tally(copies).figures)["sensitivity"]
    ignored = bootstrap.intervals([""] * 300, tally(copies).figures)["sensitivity"]
    assert alone is not None
    assert together is not None
    assert ignored is not None
    assert together == pytest.approx(alone, abs=0.02)
    assert ignored[1] - ignored[0] < 0.5 * (together[1] - together[0])


def test_one_patient_has_no_interval() -> None:
    """Four images of one patient are drawn together: no bounds, rather than bounds of no width."""
    once = bootstrap.intervals(["a"] * 4, lambda weight: {"mean": float(weight.mean())})
    twice = bootstrap.intervals(["a", "a", "b"], lambda weight: {"first": float(weight[0] > 0)})
    assert once == {"mean": None}
    assert twice == {"first": [0.0, 1.0]}
    assert np.isnan(bootstrap.band(["a"], lambda weight: weight)).all()


def test_a_figure_that_one_group_alone_decides_has_no_interval() -> None:
    """One lesion among fifty images: drawn once or thrice, its Dice is the same. 0 and 1 stay."""
    hit = replace(detected([0.9], []), overlaps=(0.45,))
    one = tally([hit, *[detected([], [])] * 49])
    bounds = bootstrap.intervals([""] * 50, one.figures)
    assert (bounds["dice_detected"], bounds["sensitivity"]) == (None, [1.0, 1.0])
    two = tally([hit, replace(hit, overlaps=(0.65,)), *[detected([], [])] * 48])
    assert bootstrap.intervals([""] * 50, two.figures)["dice_detected"] == pytest.approx(
        [0.45, 0.65]
    )
