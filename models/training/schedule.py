"""How far training is, and which learning rate belongs there.

In: a budget in minutes or in steps. Out: progress in [0, 1] and the factor on the base learning
rate: linear warm-up, then a half cosine to zero (Loshchilov and Hutter, "SGDR: Stochastic Gradient
Descent with Warm Restarts", without the restarts). Progress never falls, also over a resume.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """When training ends: after `steps`, after `minutes` of wall clock, whichever comes first.

    With `steps` alone the schedule depends on nothing but the step number, so that a resumed run
    repeats an uninterrupted one. With `minutes` a run ends in time on any machine.
    """

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise ValueError("a budget needs steps, minutes or both")
        if (self.steps is not None and self.steps < 1) or (
            self.minutes is not None and self.minutes <= 0
        ):
            raise ValueError("steps and minutes must be positive")

    def progress(self, step: int, elapsed_seconds: float) -> float:
        """The share of the budget that is spent, in [0, 1]."""
        by_steps = step / self.steps if self.steps else 0.0
        by_clock = elapsed_seconds / (60.0 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_clock))


def learning_rate_factor(progress: float, warm_up: float = 0.03, floor: float = 0.0) -> float:
    """Factor on the base learning rate at `progress` in [0, 1]; never below `floor`.

    The warm-up starts at a hundredth of the base rate: the first steps of a randomly
    initialised detector see losses ten times those of a trained one.
    """
    if progress < warm_up:
        return max(0.01, progress / warm_up)
    cosine = 0.5 * (1.0 + math.cos(math.pi * (progress - warm_up) / (1.0 - warm_up)))
    return floor + (1.0 - floor) * cosine
