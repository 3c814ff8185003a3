"""How far figures may be trusted: bootstrap over groups of images.

In: the group of each image and a function from weights to figures. Out: 95 % intervals. What must
hold: images of one patient, and pictures that are nearly the same, are drawn together, because
they are not independent; the same seed gives the same bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.evaluation.metrics import Weight
from models.evaluation.tally import Figures, Floats

SAMPLES = 1000
CONFIDENCE = 0.95
# An interval from fewer samples in which the figure is defined would be made up.
_LEAST_DEFINED = 0.5

_NO_WIDTH = 1e-9  # sums of the same numbers differ by less

Interval = list[float]


def weights(groups: Sequence[str], seed: int = 0) -> Iterator[Weight]:
    """How often each image counts in each of SAMPLES samples; an empty group is its own."""
    rng = np.random.default_rng(seed)
    names = [group or f"\0{index}" for index, group in enumerate(groups)]
    _, row = np.unique(names, return_inverse=True)
    count = int(row.max()) + 1 if len(names) else 0
    for _ in range(SAMPLES):
        drawn = np.bincount(rng.integers(0, count, count), minlength=count)
        yield drawn[row].astype(np.float64)


def intervals(
    groups: Sequence[str], figures: Callable[[Weight], Figures], seed: int = 0
) -> dict[str, Interval | None]:
    """[low, high] of each figure; None of a single group, or where `_bounds` finds none."""
    samples: dict[str, list[float]] = {}
    for weight in weights(groups, seed):
        for name, value in figures(weight).items():
            samples.setdefault(name, []).append(value)
    # One group drawn again and again is always the same: its bounds would look like certainty.
    alone = _number_of(groups) < 2
    return {name: None if alone else _bounds(np.array(values)) for name, values in samples.items()}


def _number_of(groups: Sequence[str]) -> int:
    """Of independent images: an empty group is one of its own."""
    return len(set(groups) - {""}) + list(groups).count("")


def band(
    groups: Sequence[str], curve: Callable[[Weight], Floats], seed: int = 0
) -> NDArray[np.float64]:
    """Bounds (2, n) of a curve's n values; NaN where undefined."""
    values = np.array([curve(weight) for weight in weights(groups, seed)])
    if _number_of(groups) < 2:
        values = np.full_like(values, math.nan)
    bounds = [_bounds(column) or [math.nan, math.nan] for column in values.T]
    return np.array(bounds, np.float64).T.reshape(2, -1)


def _bounds(values: Floats) -> Interval | None:
    """None where most samples leave the figure open, or where between 0 and 1 all are alike.

    Then one group alone decides, the only one with a lesion for example, however many there are.
    """
    finite = values[np.isfinite(values)]
    if len(finite) < _LEAST_DEFINED * SAMPLES:
        return None
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = (float(bound) for bound in np.percentile(finite, [tail, 100.0 - tail]))
    return None if high - low < _NO_WIDTH and _NO_WIDTH < low < 1.0 - _NO_WIDTH else [low, high]
