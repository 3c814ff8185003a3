"""How well images are told apart as normal, benign or malignant.

In: `ImageResult`s with a label and probabilities. Out: figures of any reweighting of the images.
What must hold: `accuracy` is over all classes that the model tells apart, also where the truth
lacks one of them: a folder of benign images alone proves nothing by itself; the figures of two
classes judge "malignant" at the model's operating point against the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.datasets.cases import gravest
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import Counts, Ranking, Weight
from models.evaluation.tally import Figures, Floats, binary_figures, weighted_counts

MALIGNANT, NORMAL = "malignant", "normal"


class ClassTally:
    """Classification of n images or patients at an operating point for "malignant"."""

    def __init__(
        self, results: Sequence[ImageResult], names: Sequence[str], threshold: float
    ) -> None:
        """`names`: the classes, in the order of the model's specification."""
        self.names = tuple(names)
        self._truth = np.array([self.names.index(str(result.label)) for result in results], np.intp)
        self._probability = np.array(
            [[result.probabilities[name] for name in names] for result in results], np.float64
        ).reshape(len(results), len(names))
        self._guess = self._probability.argmax(axis=1)
        self._malignant = self._truth == self.names.index(MALIGNANT)
        self._marked = self._probability[:, self.names.index(MALIGNANT)] >= threshold
        self.rankings = {
            name: Ranking(self._truth == index, self._probability[:, index])
            for index, name in enumerate(names)
        }

    def figures(self, weight: Weight) -> Figures:
        """Every figure, each image counting `weight` times, (n,)."""
        areas = {f"auc_{name}": ranking.auc(weight) for name, ranking in self.rankings.items()}
        two = binary_figures(weighted_counts(self._malignant, self._marked, weight))
        right = self._guess == self._truth
        recalls = [_mean(right[own], weight[own]) for own in self._by_class()]
        return two | {
            "sensitivity": two["recall"],
            "accuracy": _mean(right, weight),
            "balanced_accuracy": float(np.mean(recalls)) if recalls else math.nan,
            "auc": areas[f"auc_{MALIGNANT}"],
            **areas,
        }

    def counts(self) -> Counts:
        """Of images: malignant or not, at or above the threshold or not."""
        return weighted_counts(self._malignant, self._marked, np.ones(len(self._truth)))

    def confusion(self) -> list[list[int]]:
        """Rows: true class, columns: most probable class, in the order of `names`."""
        table = np.zeros((len(self.names), len(self.names)), int)
        np.add.at(table, (self._truth, self._guess), 1)
        return [[int(count) for count in row] for row in table]

    def _by_class(self) -> list[NDArray[np.bool_]]:
        own = [self._truth == index for index in range(len(self.names))]
        return [mask for mask in own if mask.any()]


def by_group(results: Sequence[ImageResult], names: Sequence[str]) -> list[ImageResult]:
    """One result per group: the gravest label, and of each class the highest probability.

    Of "normal" the lowest: a patient is as normal as her most suspicious image.
    """
    together: dict[str, list[ImageResult]] = {}
    for result in results:
        together.setdefault(result.group or result.name, []).append(result)
    return [
        ImageResult(
            group,
            gravest([r.label for r in own]),
            {
                name: (min if name == NORMAL else max)(r.probabilities[name] for r in own)
                for name in names
            },
            *(None, None, None),
        )
        for group, own in together.items()
    ]


def by_breast(results: Sequence[ImageResult], names: Sequence[str]) -> list[ImageResult]:
    """One result per breast: the gravest label, and of each class the mean over its images.

    As the RSNA challenge judges: its unit is a patient's side. The `group` stays the patient's.
    Images whose side or patient nobody knows are left out.
    """
    together: dict[tuple[str, str], list[ImageResult]] = {}
    for result in results:
        side = str(result.clinical.get("laterality", ""))
        if side and result.group:
            together.setdefault((result.group, side), []).append(result)
    return [
        ImageResult(
            f"{group} {side}",
            gravest([r.label for r in own]),
            {name: float(np.mean([r.probabilities[name] for r in own])) for name in names},
            *(None, None, None),
            group=group,
        )
        for (group, side), own in together.items()
    ]


def shortcuts(results: Sequence[ImageResult]) -> Figures:
    """What could be mistaken for reading the image, judging "malignant" against the rest.

    `auc_of_age_alone`: a model below it has learnt nothing. `auc_within_FACT`: only pairs of images
    with the same machine, view or density are compared, so that knowing these is worth nothing.
    """
    figures = {}
    ages = [(r.clinical["age"], r.label == MALIGNANT) for r in results if "age" in r.clinical]
    if ages:
        age = np.array([float(value) for value, _ in ages])
        figures["auc_of_age_alone"] = Ranking(np.array([m for _, m in ages]), age).auc(
            np.ones(len(ages))
        )
    for fact in ("machine", "view", "density"):
        value = _within(results, fact)
        if not math.isnan(value):
            figures[f"auc_within_{fact}"] = value
    return figures


def _within(results: Sequence[ImageResult], fact: str) -> float:
    """Mean area over the values of a fact, each weighing as many pairs as it has."""
    by_value: dict[float | str, list[ImageResult]] = {}
    for result in results:
        if fact in result.clinical:
            by_value.setdefault(result.clinical[fact], []).append(result)
    areas: Floats = np.zeros(0)
    pairs: Floats = np.zeros(0)
    for own in by_value.values():
        actual = np.array([result.label == MALIGNANT for result in own])
        score = np.array([result.probabilities[MALIGNANT] for result in own])
        count = float(actual.sum() * (~actual).sum())
        if count:
            areas = np.append(areas, Ranking(actual, score).auc(np.ones(len(own))))
            pairs = np.append(pairs, count)
    return float((areas * pairs).sum() / pairs.sum()) if len(pairs) > 1 else math.nan


def _mean(values: NDArray[np.bool_], weight: Weight) -> float:
    whole = float(weight.sum())
    return float(weight @ values) / whole if whole else math.nan
