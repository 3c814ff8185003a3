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


def auc(actual: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Area under the ROC curve by ranks (Mann and Whitney), ties counting one half."""
    positives = int(np.count_nonzero(actual))
    negatives = len(actual) - positives
    if not positives or not negatives:
        return math.nan
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2.0
    rank_sum = float(mean_rank[inverse][actual].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


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
