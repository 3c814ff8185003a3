"""How well the lesions that were marked are told apart as benign or malignant.

In: `ImageResult`s of a model that gives each region a class. Out: figures of any reweighting of the
images, and the table of true against given class. What must hold: a lesion counts here only if the
truth tells its own class; one that was not marked at the operating point has a column of its own
and no part in the other figures, which sensitivity has told already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.evaluation.classes import MALIGNANT
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import Weight
from models.evaluation.tally import Figures, binary_figures, weighted_counts

NATURES = ("benign", MALIGNANT)
"""Index order of the table's rows; its columns are these, any other class, and not marked."""

_OTHER, _UNMARKED = len(NATURES), len(NATURES) + 1


class LesionTally:
    """Lesions of a known class on n images, and the class that each was given."""

    def __init__(self, results: Sequence[ImageResult]) -> None:
        rows = [
            (row, NATURES.index(actual), _column(given))
            for row, result in enumerate(results)
            for actual, given in result.told
            if actual in NATURES
        ]
        self._image, self.actual, self.given = np.array(rows, np.intp).reshape(-1, 3).T
        self._marked = self.given != _UNMARKED

    def figures(self, weight: Weight) -> Figures:
        """Of marked lesions, "malignant" against the rest; each image counts `weight` times."""
        malignant = NATURES.index(MALIGNANT)
        each = np.asarray(weight[self._image] * self._marked, np.float64)
        return binary_figures(
            weighted_counts(self.actual == malignant, self.given == malignant, each)
        )

    def confusion(self) -> list[list[int]]:
        """Rows: true class; columns: given class, any other, not marked."""
        table = np.zeros((len(NATURES), _UNMARKED + 1), int)
        np.add.at(table, (self.actual, self.given), 1)
        return [[int(count) for count in row] for row in table]


def tells_classes(results: Sequence[ImageResult]) -> bool:
    """Whether the model gave any lesion of a known class one."""
    return any(actual in NATURES and given for result in results for actual, given in result.told)


def _column(given: str) -> int:
    if not given:
        return _UNMARKED
    return NATURES.index(given) if given in NATURES else _OTHER
