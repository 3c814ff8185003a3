"""What all images contributed, as columns: figures of any reweighting of the images are then sums.

In: `ImageResult`s. Out: arrays with one entry per image, lesion or false mark, and the rows that
must be drawn together. What must hold: a figure that is undefined is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.contract import FindingKind
from models.evaluation import metrics
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import Counts, Ranking, Weight

Floats = NDArray[np.float64]
Figures = dict[str, float]
Thresholds = Mapping[FindingKind, float]


@dataclass(frozen=True, slots=True)
class Marks:
    """Score of each lesion (0: nothing hit it) or false mark, and the image it lies in."""

    image: NDArray[np.intp]
    score: Floats


class Tally:
    """Detection on n images at an operating point, of some kinds of finding."""

    def __init__(
        self, results: Sequence[ImageResult], thresholds: Thresholds, kinds: frozenset[FindingKind]
    ) -> None:
        self._kinds, self._thresholds = kinds, thresholds
        self._lesions, self._hits, self._alarms, self._dice, self._jaccard = (
            np.zeros(len(results)) for _ in range(5)
        )
        self._pixels = np.zeros((len(results), 4))
        found: list[tuple[int, float]] = []
        false: list[tuple[int, float]] = []
        for row, result in enumerate(results):
            counts = _pixels_of(result, kinds)
            self._pixels[row] = (counts.tp, counts.fp, counts.tn, counts.fn)
            found += [(row, score) for score in self._count_lesions(row, result)]
            false += [(row, score) for score in self._count_alarms(row, result)]
        self.found, self.false = _marks(found), _marks(false)
        self.images = len(results)
        top = np.zeros(len(results))
        for marks in (self.found, self.false):
            np.maximum.at(top, marks.image, marks.score)
        self._ranking = Ranking(self._lesions > 0, top)

    def _count_lesions(self, row: int, result: ImageResult) -> Iterator[float]:
        """The best score of each lesion of one image, once it is counted."""
        overlaps = result.overlaps or (math.nan,) * len(result.found or ())
        for (kind, score), overlap in zip(result.found or (), overlaps, strict=True):
            if kind in self._kinds:
                self._lesions[row] += 1
                if score > 0 and score >= self._thresholds[kind]:
                    self._hits[row] += 1
                    self._dice[row] += overlap
                    self._jaccard[row] += overlap / (2.0 - overlap)
                yield score

    def _count_alarms(self, row: int, result: ImageResult) -> Iterator[float]:
        for kind, score in result.false or ():
            if kind in self._kinds:
                self._alarms[row] += score >= self._thresholds[kind]
                yield score

    def figures(self, weight: Weight) -> Figures:
        """Every figure, each image counting `weight` times, (n,)."""
        lesions, hits = float(weight @ self._lesions), float(weight @ self._hits)
        alarms, images = float(weight @ self._alarms), float(weight.sum())
        with_lesion = weight * (self._lesions > 0)
        marked = (self._hits > 0) | (self._alarms > 0)
        whole = weighted_counts(self._lesions > 0, marked, weight)
        return {
            "sensitivity": _share(hits, lesions),
            "false_positives_per_image": _share(alarms, images),
            "dice": _mean(_dice(self._pixels), with_lesion),
            "jaccard": _mean(_jaccard(self._pixels), with_lesion),
            "dice_detected": _share(float(weight @ self._dice), hits),
            "jaccard_detected": _share(float(weight @ self._jaccard), hits),
            "lesion_precision": _share(hits, hits + alarms),
            "lesion_f1": _share(2.0 * hits, 2.0 * hits + alarms + (lesions - hits)),
            **binary_figures(whole),
            "auc": self._ranking.auc(weight),
        }

    def counts(self) -> Counts:
        """Of images: is there a lesion, is there a mark?"""
        marked = (self._hits > 0) | (self._alarms > 0)
        return weighted_counts(self._lesions > 0, marked, np.ones(self.images))

    def pixel_figures(self, weight: Weight) -> Figures:
        """Figures over the pixels of all images together, as in Alghamdi 2024."""
        counts = Counts(*(float(value) for value in weight @ self._pixels))
        figures = binary_figures(counts)
        figures["dice"] = figures.pop("f1")
        return figures | {"jaccard": metrics.jaccard(counts)}

    def sensitivity_at(self, rates: Floats, weight: Weight) -> Floats:
        """Sensitivity at each number of false marks per image: the FROC's value there."""
        lesions = weight[self.found.image]
        if not lesions.sum():
            return np.full(len(rates), math.nan)
        order = np.argsort(-self.false.score, kind="stable")
        alarms = np.cumsum(weight[self.false.image[order]]) / weight.sum()
        # The first false mark too many ends what may be counted; -1 where there is none.
        scores = np.append(self.false.score[order], 0.0)
        limits = scores[np.searchsorted(alarms, rates, side="right")]
        rank = np.argsort(self.found.score, kind="stable")
        above = np.append(np.cumsum(lesions[rank][::-1])[::-1], 0.0)
        first = np.searchsorted(self.found.score[rank], limits, side="right")
        return np.asarray(above[first] / lesions.sum())

    def froc(self) -> list[tuple[float, float]]:
        """(false marks per image, sensitivity) as the threshold falls: where it rises, and its end.

        Empty without a lesion or a mark.
        """
        found, false = self.found.score, self.false.score
        scores = np.unique(np.concatenate([found[found > 0], false]))[::-1]
        if not len(found) or not len(scores):
            return []
        corners = np.unique(np.append(found[found > 0], scores[-1]))[::-1]
        return [
            (float((false >= score).sum() / self.images), float((found >= score).mean()))
            for score in corners
        ]


def binary_figures(counts: Counts) -> Figures:
    """What a table of four says."""
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


def _pixels_of(result: ImageResult, kinds: frozenset[FindingKind]) -> Counts:
    """Of one kind its own pixels; of several, their union."""
    if len(kinds) == 1 and result.pixels_by_kind:
        return result.pixels_by_kind[next(iter(kinds))]
    return result.pixels or Counts(0.0, 0.0, 0.0, 0.0)


def _marks(pairs: Sequence[tuple[int, float]]) -> Marks:
    return Marks(
        np.array([row for row, _ in pairs], np.intp), np.array([score for _, score in pairs], float)
    )


def weighted_counts(actual: NDArray[np.bool_], marked: NDArray[np.bool_], weight: Weight) -> Counts:
    """The table of four, each entry of the three (n,) counting `weight` times."""
    return Counts(
        float(weight @ (actual & marked)),
        float(weight @ (~actual & marked)),
        float(weight @ (~actual & ~marked)),
        float(weight @ (actual & ~marked)),
    )


def _dice(pixels: Floats) -> Floats:
    return np.asarray(
        2 * pixels[:, 0] / np.maximum(2 * pixels[:, 0] + pixels[:, 1] + pixels[:, 3], 1)
    )


def _jaccard(pixels: Floats) -> Floats:
    return np.asarray(pixels[:, 0] / np.maximum(pixels[:, 0] + pixels[:, 1] + pixels[:, 3], 1.0))


def _mean(values: Floats, weight: Weight) -> float:
    return _share(float(values @ weight), float(weight.sum()))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
