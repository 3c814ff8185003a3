"""Figures of merit, each from arrays to a float.

What must hold: a figure that is undefined (no positive case, nothing predicted) is NaN and never a
flattering 0 or 1. Formulas: sensitivity, specificity, Jaccard, accuracy and Matthews correlation as
in Alghamdi 2024, equations 1 to 6; balanced classification rate and Youden's index as in Kumar et
al. 2025; sensitivity and recall are the same number (Ben Miled and Cherif 2025 print another
formula for sensitivity, tp / (tp + tn), which their own results contradict).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Weight = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """True and false positives and negatives: of images, lesions or pixels."""

    tp: float
    fp: float
    tn: float
    fn: float

    @classmethod
    def of(cls, actual: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> Counts:
        """Count over arrays of equal shape."""
        return cls(
            tp=float(np.count_nonzero(actual & predicted)),
            fp=float(np.count_nonzero(~actual & predicted)),
            tn=float(np.count_nonzero(~actual & ~predicted)),
            fn=float(np.count_nonzero(actual & ~predicted)),
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.tp + other.tp, self.fp + other.fp, self.tn + other.tn, self.fn + other.fn
        )


def sensitivity(counts: Counts) -> float:
    """TP / (TP + FN); also called recall or true positive rate."""
    return _ratio(counts.tp, counts.tp + counts.fn)


def specificity(counts: Counts) -> float:
    """TN / (TN + FP)."""
    return _ratio(counts.tn, counts.tn + counts.fp)


def precision(counts: Counts) -> float:
    """TP / (TP + FP)."""
    return _ratio(counts.tp, counts.tp + counts.fp)


def accuracy(counts: Counts) -> float:
    """(TP + TN) / all."""
    return _ratio(counts.tp + counts.tn, counts.tp + counts.tn + counts.fp + counts.fn)


def f1(counts: Counts) -> float:
    """2 TP / (2 TP + FP + FN); over pixels this is the Dice coefficient."""
    return _ratio(2.0 * counts.tp, 2.0 * counts.tp + counts.fp + counts.fn)


def jaccard(counts: Counts) -> float:
    """TP / (TP + FP + FN)."""
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def bcr(counts: Counts) -> float:
    """Balanced classification rate: mean of sensitivity and specificity."""
    return (sensitivity(counts) + specificity(counts)) / 2.0


def youden(counts: Counts) -> float:
    """Sensitivity + specificity - 1."""
    return sensitivity(counts) + specificity(counts) - 1.0


def mcc(counts: Counts) -> float:
    """Matthews correlation coefficient."""
    positive, negative = counts.tp + counts.fn, counts.tn + counts.fp
    marked, unmarked = counts.tp + counts.fp, counts.tn + counts.fn
    root = math.sqrt(positive) * math.sqrt(negative) * math.sqrt(marked) * math.sqrt(unmarked)
    return _ratio(counts.tp * counts.tn - counts.fp * counts.fn, root)


class Ranking:
    """Scores in order, so that areas under many reweightings of the same cases cost little.

    `actual`, `score`: (n,). Weights are how often each case counts, (n,).
    """

    def __init__(self, actual: NDArray[np.bool_], score: NDArray[np.float64]) -> None:
        self._order = np.argsort(score, kind="stable")
        self._actual = np.asarray(actual, np.bool_)[self._order]
        ordered = np.asarray(score)[self._order]
        # Cases of equal score are one step of the curve.
        self._starts = np.flatnonzero(np.append(True, np.diff(ordered) != 0))[: len(ordered)]

    def auc(self, weight: Weight) -> float:
        """Share of rightly ordered pairs (Mann and Whitney), ties counting one half."""
        positive, negative = self._steps(weight)
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative / 2.0
        return float((positive * below).sum() / pairs) if pairs else math.nan

    def curve(self, weight: Weight) -> tuple[Weight, Weight]:
        """False and true positive rates from (0, 0) to (1, 1), whose area is `auc`.

        One point per distinct score; NaN where there is no positive or no negative case.
        """
        positive, negative = (steps[::-1] for steps in self._steps(weight))
        if not positive.sum() or not negative.sum():
            return np.full(2, math.nan), np.full(2, math.nan)
        true = np.append(0.0, np.cumsum(positive)) / positive.sum()
        false = np.append(0.0, np.cumsum(negative)) / negative.sum()
        return false, true

    def sensitivity_at(self, false_rates: NDArray[np.float64], weight: Weight) -> Weight:
        """True positive rate at each false positive rate: where the curve rises, its upper end."""
        return np.asarray(np.interp(false_rates, *self.curve(weight)))

    def _steps(self, weight: Weight) -> tuple[Weight, Weight]:
        """Weight of positives and of negatives at each distinct score, ascending."""
        if not len(self._order):
            return np.zeros(0), np.zeros(0)
        ordered = np.asarray(weight, np.float64)[self._order]
        positive = np.add.reduceat(ordered * self._actual, self._starts)
        return positive, np.add.reduceat(ordered * ~self._actual, self._starts)


def auc(actual: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Area under the ROC curve, every case counting once."""
    return Ranking(actual, score).auc(np.ones(len(actual)))


def roc(
    actual: NDArray[np.bool_], score: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates at every distinct score, from (0, 0) to (1, 1)."""
    order = np.argsort(-score, kind="stable")
    hits = actual[order]
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true = np.append(0, np.cumsum(hits)[last])
    false = np.append(0, np.cumsum(~hits)[last])
    return false / max(1, false[-1]), true / max(1, true[-1])


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
