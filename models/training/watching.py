"""Which weights are the best so far, and whether it is worth going on.

In: the metrics of each validation. Out: whether they are the best, and whether patience is at its
end. What must hold: the state goes into the checkpoint, so that a resumed run stops where an
uninterrupted one would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from models.training.settings import Watch


class UnknownMetricError(ValueError):
    """No validation gives the figure that is to be watched; the text lists those that there are."""


@dataclass(slots=True)
class Watcher:
    """The state of one run; `best` is None until the first validation."""

    watch: Watch
    best: float | None = None
    best_step: int = 0
    misses: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)

    def is_best(self, metrics: Mapping[str, float], step: int) -> bool:
        """Take in one validation. Raises UnknownMetricError without the watched one."""
        if not self.watch.metric:
            return False
        if self.watch.metric not in metrics:
            known = ", ".join(sorted(metrics))
            raise UnknownMetricError(
                f"fit.watch.metric: no metric {self.watch.metric} to watch; there are {known}"
            )
        value = metrics[self.watch.metric]
        if math.isnan(value) or not self._better(value):
            self.misses += 1
            return False
        self.best, self.best_step, self.misses = value, step, 0
        self.best_metrics = dict(metrics)
        return True

    def gives_up(self) -> bool:
        """Whether patience is at its end."""
        return 0 < self.watch.patience <= self.misses

    def _better(self, value: float) -> bool:
        if self.best is None:
            return True
        gain = value - self.best if self.watch.mode == "max" else self.best - value
        return gain > self.watch.margin

    def state(self) -> dict[str, object]:
        """What `restore` takes: plain values."""
        return {
            "best": self.best,
            "best_step": self.best_step,
            "misses": self.misses,
            "best_metrics": self.best_metrics,
        }

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on from `state()`."""
        for name in ("best", "best_step", "misses", "best_metrics"):
            setattr(self, name, state[name])
