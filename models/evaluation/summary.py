"""From the results of all images to the figures of the report, with their uncertainty.

In: `ImageResult`s. Out: metrics by name and 95 % intervals from 1000 bootstrap samples of images.
What must hold: a figure that the truth does not support is None in the report, never 0.

Detection and segmentation: `sensitivity` counts lesions, `false_positives_per_image` regions that
hit nothing, `froc` holds (false positives per image, sensitivity) over all thresholds. `dice` and
`jaccard` are means over images with lesions. `accuracy`, `precision`, `recall`, `specificity`,
`f1`, `bcr`, `youden`, `mcc` and `auc` judge whole images: is anything there? Classification: the
same names judge "malignant" against the rest, except `accuracy`, which is over all classes known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from models.contract import FindingKind
from models.evaluation import metrics
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import Counts

NAMES = (
    *("sensitivity", "false_positives_per_image", "dice", "jaccard", "auc", "accuracy"),
    *("precision", "recall", "specificity", "f1", "bcr", "youden", "mcc"),
)

BOOTSTRAP_SAMPLES = 1000
CONFIDENCE = 0.95

Thresholds = Mapping[FindingKind, float]
Figures = dict[str, float]
Summarise = Callable[[Sequence[ImageResult]], Figures]


def detection_figures(results: Sequence[ImageResult], thresholds: Thresholds) -> Figures:
    """Figures of a model that reports regions, at its operating point."""
    found = [hit for result in results for hit in result.found or ()]
    false = [miss for result in results for miss in result.false or ()]
    hits = sum(score > 0 and score >= thresholds[kind] for kind, score in found)
    alarms = sum(score >= thresholds[kind] for kind, score in false)
    overlaps = [r.pixels for r in results if r.pixels and r.found]
    actual = np.array([bool(result.found) for result in results])
    marked = np.array([_is_marked(result, thresholds) for result in results])
    score = np.array([_top_score(result) for result in results])
    return {
        "sensitivity": hits / len(found) if found else math.nan,
        "false_positives_per_image": alarms / len(results) if results else math.nan,
        "dice": _mean([metrics.f1(pixels) for pixels in overlaps]),
        "jaccard": _mean([metrics.jaccard(pixels) for pixels in overlaps]),
        **_binary_figures(Counts.of(actual, marked)),
        "auc": metrics.auc(actual, score),
    }


def classification_figures(
    results: Sequence[ImageResult], thresholds: Mapping[str, float]
) -> Figures:
    """Figures of a classifier; results without a label are left out by the caller."""
    classes = [name for name in results[0].probabilities if any(r.label == name for r in results)]
    actual = np.array([result.label == "malignant" for result in results])
    score = np.array([result.probabilities["malignant"] for result in results])
    marked = score >= thresholds["malignant"]
    right = [
        max(classes, key=lambda name: result.probabilities[name]) == result.label
        for result in results
    ]
    figures = _binary_figures(Counts.of(actual, marked))
    return figures | {
        "sensitivity": figures["recall"],
        "accuracy": _mean([float(value) for value in right]),
        "auc": metrics.auc(actual, score),
    }


def froc(results: Sequence[ImageResult]) -> list[tuple[float, float]]:
    """(false positives per image, sensitivity) as the threshold falls, all kinds together."""
    found = np.array([score for result in results for _, score in result.found or ()])
    false = np.array([score for result in results for _, score in result.false or ()])
    if not len(found):
        return []
    scores = np.unique(np.concatenate([found[found > 0], false]))[::-1]
    return [
        (float((false >= score).sum() / len(results)), float((found >= score).mean()))
        for score in scores
    ]


def intervals(
    results: Sequence[ImageResult], summarise: Summarise, seed: int = 0
) -> dict[str, Any]:
    """Bounds [low, high] of each figure over resampled sets of images; None where undefined."""
    rng = np.random.default_rng(seed)
    samples: dict[str, list[float]] = {}
    for _ in range(BOOTSTRAP_SAMPLES):
        picked = [results[index] for index in rng.integers(0, len(results), len(results))]
        for name, value in summarise(picked).items():
            samples.setdefault(name, []).append(value)
    tails = 50.0 * (1.0 - CONFIDENCE)
    bounds = {}
    for name, values in samples.items():
        finite = [value for value in values if math.isfinite(value)]
        bounds[name] = np.percentile(finite, [tails, 100.0 - tails]).tolist() if finite else None
    return bounds


def _binary_figures(counts: Counts) -> Figures:
    return {
        "accuracy": metrics.accuracy(counts),
        "precision": metrics.precision(counts),
        "recall": metrics.sensitivity(counts),
        "specificity": metrics.specificity(counts),
        "f1": metrics.f1(counts),
        "bcr": metrics.bcr(counts),
        "youden": metrics.youden(counts),
        "mcc": metrics.mcc(counts),
    }


def _is_marked(result: ImageResult, thresholds: Thresholds) -> bool:
    regions = [*(result.found or ()), *(result.false or ())]
    return any(score > 0 and score >= thresholds[kind] for kind, score in regions)


def _top_score(result: ImageResult) -> float:
    regions = [*(result.found or ()), *(result.false or ())]
    return max((score for _, score in regions), default=0.0)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
