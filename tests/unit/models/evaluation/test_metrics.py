from __future__ import annotations

import math

import numpy as np
import pytest

from models.evaluation import metrics
from models.evaluation.metrics import Counts

COUNTS = Counts(tp=90.0, fp=20.0, tn=80.0, fn=10.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sensitivity", 0.9),
        ("specificity", 0.8),
        ("precision", 90 / 110),
        ("accuracy", 0.85),
        ("f1", 180 / 210),
        ("jaccard", 90 / 120),
        ("bcr", 0.85),
        ("youden", 0.7),
        ("mcc", (90 * 80 - 20 * 10) / math.sqrt(110 * 100 * 100 * 90)),
    ],
)
def test_figures_of_a_known_table(name: str, expected: float) -> None:
    """Each figure equals its formula worked by hand."""
    assert getattr(metrics, name)(COUNTS) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["sensitivity", "precision", "f1", "jaccard", "mcc", "accuracy"])
def test_undefined_is_not_a_number(name: str) -> None:
    """Without any case a figure is NaN, not 0 and not 1."""
    assert math.isnan(getattr(metrics, name)(Counts(0.0, 0.0, 0.0, 0.0)))


def test_counting() -> None:
    """Counts over arrays, and their sum."""
    actual = np.array([True, True, False, False, True])
    marked = np.array([True, False, True, False, True])
    counts = Counts.of(actual, marked)
    assert counts == Counts(tp=2, fp=1, tn=1, fn=1)
    assert counts + counts == Counts(tp=4, fp=2, tn=2, fn=2)


def test_auc_is_the_share_of_rightly_ordered_pairs() -> None:
    """The area equals the definition by pairs, ties counting half."""
    rng = np.random.default_rng(3)
    actual = rng.random(60) < 0.4
    score = np.round(rng.random(60) + 0.3 * actual, 1)
    differences = score[actual][:, None] - score[~actual][None, :]
    expected = ((differences > 0) + 0.5 * (differences == 0)).mean()
    assert metrics.auc(actual, score) == pytest.approx(expected)


def test_auc_is_the_area_under_the_roc() -> None:
    """The trapezoids under `roc` add up to `auc`."""
    rng = np.random.default_rng(4)
    actual = rng.random(80) < 0.5
    score = np.round(rng.random(80) + 0.2 * actual, 1)
    false_rate, true_rate = metrics.roc(actual, score)
    area = float((np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2).sum())
    assert area == pytest.approx(metrics.auc(actual, score))


def test_auc_of_one_class_is_undefined() -> None:
    """Only positives: no ranking to judge."""
    assert math.isnan(metrics.auc(np.array([True, True]), np.array([0.1, 0.2])))
