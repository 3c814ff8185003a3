"""k-fold cross-validation of a training run (Alghamdi 2024, k = 5: mean over the folds).

In: a function that trains one fold and returns its figures. Out: the figures of every fold with
mean and standard deviation, in `folds.json`. What must hold: a fold that is done is not trained
again, so that a series interrupted after days goes on; each fold's own run resumes by itself.
Who belongs to which fold is decided by `models.datasets.splits.k_folds`.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FIGURES = "figures.json"  # of a fold, written when it is done


@dataclass(frozen=True, slots=True)
class Fold:
    """Fold `number` (0, 1, ...) of `count`. Raises ValueError where there is no such fold."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if self.count < 2 or not 0 <= self.number < self.count:
            raise ValueError(f"there is no fold {self.number} of {self.count}")


RunFold = Callable[[Fold, Path], Mapping[str, float]]
"""Train one fold into a folder; returns its figures on the part that was left out."""


def cross_validate(run_fold: RunFold, count: int, out: Path) -> dict[str, dict[str, float]]:
    """Train all folds into `out/fold1` ... and return, by figure, mean and standard deviation."""
    rows = [_figures(run_fold, Fold(number, count), out) for number in range(count)]
    summary = summarise(rows)
    text = json.dumps({"folds": [dict(row) for row in rows], "summary": summary}, indent=1)
    (out / "folds.json").write_text(text + "\n")
    return summary


def summarise(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and sample standard deviation of each figure that every fold has.

    One that is undefined in a fold, such as the share of the lesions found where there are none, is
    left out: a mean over the others would be of other images.
    """
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {
        name: {
            "mean": statistics.fmean(row[name] for row in rows),
            "standard_deviation": statistics.stdev(row[name] for row in rows),
        }
        for name in names
    }


def _figures(run_fold: RunFold, fold: Fold, out: Path) -> Mapping[str, float]:
    folder = out / f"fold{fold.number + 1}"
    done = folder / FIGURES
    if done.is_file():
        figures: dict[str, float] = json.loads(done.read_text())
        return figures
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: float(value) for name, value in run_fold(fold, folder).items()}
    found = {name: value for name, value in found.items() if math.isfinite(value)}
    done.write_text(json.dumps(found, indent=1) + "\n")
    return found
