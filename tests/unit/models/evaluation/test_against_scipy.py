"""The figures of merit against other people's code, and the FROC against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from models.contract import FindingKind
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import Counts, Ranking, auc, bcr, jaccard, mcc, roc, youden
from models.evaluation.tally import Tally

MASS = FindingKind.MASS


@pytest.mark.parametrize("seed", range(20))
def test_binary_figures(seed: int) -> None:
    """Area by Mann and Whitney and by trapezoids, MCC as a correlation, the rest by hand."""
    rng = np.random.default_rng(seed)
    actual = np.append(rng.random(40) < 0.4, [True, False])
    score = np.round(rng.random(42), 1)  # with ties
    pairs = actual.sum() * (~actual).sum()
    expected = stats.mannwhitneyu(score[actual], score[~actual]).statistic / pairs
    assert auc(actual, score) == pytest.approx(expected)
    false, true = roc(actual, score)
    heights, widths = (true[1:] + true[:-1]) / 2.0, np.diff(false)
    assert float(heights @ widths) == pytest.approx(expected)
    marked = score >= 0.5
    counts = Counts.of(actual, marked)
    assert mcc(counts) == pytest.approx(np.corrcoef(actual, marked)[0, 1])
    true_rate, true_negative = marked[actual].mean(), (~marked[~actual]).mean()
    assert bcr(counts) == pytest.approx((true_rate + true_negative) / 2.0)
    assert youden(counts) == pytest.approx(true_rate + true_negative - 1.0)
    common, either = (actual & marked).sum(), (actual | marked).sum()
    assert jaccard(counts) == pytest.approx(common / either)


@pytest.mark.parametrize("seed", range(20))
def test_the_curve_that_is_drawn_has_the_area_that_stands_beside_it(seed: int) -> None:
    """With ties and weights; between two of its points it does not run above the lower one's."""
    rng = np.random.default_rng(seed)
    actual = np.append(rng.random(10) < 0.4, [True, False])
    score, weight = np.round(rng.random(12), 1), np.append(rng.integers(0, 3, 10), [1, 1])
    ranking = Ranking(actual, score)
    false, true = ranking.curve(weight.astype(float))
    area = float((true[1:] + true[:-1]) / 2.0 @ np.diff(false))
    assert area == pytest.approx(ranking.auc(weight.astype(float)))
    fine = np.linspace(0.0, 1.0, 20_001)
    heights = ranking.sensitivity_at(fine, weight.astype(float))
    assert float(heights.mean()) == pytest.approx(area, abs=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_sensitivity_at_fixed_false_marks_is_the_best_that_any_threshold_gives(seed: int) -> None:
    """Over all thresholds that leave no more false marks per image; with ties and with weights."""
    rng = np.random.default_rng(seed)
    results = [
        ImageResult(
            str(number),
            None,
            {},
            tuple((MASS, float(np.round(rng.random(), 1))) for _ in range(rng.integers(3))),
            tuple((MASS, float(np.round(rng.random(), 1))) for _ in range(rng.integers(4))),
            Counts(0, 0, 1, 0),
        )
        for number in range(7)
    ]
    weight = np.append(rng.integers(0, 3, 6), 1).astype(float)
    found = [(s, w) for r, w in zip(results, weight, strict=True) for _, s in r.found or ()]
    false = [(s, w) for r, w in zip(results, weight, strict=True) for _, s in r.false or ()]
    lesions = sum(w for _, w in found)

    def best(rate: float) -> float:
        allowed = [
            at
            for at in {score for score, _ in (*found, *false) if score > 0} | {2.0}
            if sum(w for s, w in false if s >= at) / weight.sum() <= rate
        ]
        return max(sum(w for s, w in found if s >= at) / lesions for at in allowed)

    rates = (0.0, 0.125, 0.5, 1.0, 2.0)
    expected = [best(rate) if lesions else math.nan for rate in rates]
    tally = Tally(results, {MASS: 0.5}, frozenset({MASS}))
    np.testing.assert_allclose(tally.sensitivity_at(np.array(rates), weight), expected)
