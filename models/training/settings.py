"""What a run of `fit` is told, beside the model and its data.

In: nothing; these are values, most of them from the `[fit]` table of a model's `train.toml`. What
must hold: defaults are those of our own runs; a paper's values stand in its model's TOML file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import torch

from models.training.schedule import Budget

Precision = Literal["auto", "fp32"]


def refuse_empty_batches(batch: int) -> None:
    """Raise ValueError for a step without a sample."""
    if batch < 1:
        raise ValueError(f"batch is {batch}; a step needs 1 sample or more")


@dataclass(frozen=True, slots=True)
class Watch:
    """The validation figure that chooses the weights, and when to give up on it.

    `metric` "" keeps the last weights; else the best ones by that figure are kept (`best.pt`) and
    returned. `patience`: end after so many validations without a better one, 0 never. The figure
    must come from images that are not those a report is made on.
    """

    metric: str = ""
    mode: Literal["max", "min"] = "max"
    patience: int = 0
    margin: float = 0.0  # how much better counts as better


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a `train.toml` says and a run does, in the same words. `decay` 0: without an average.

    `validations` are spread evenly over the budget, the last one at its end. `checkpoint_seconds` 0
    writes none. `tensorboard` writes `out_dir/tensorboard`.
    """

    seed: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.03
    gradient_norm: float = 5.0
    decay: float = 0.998
    precision: Precision = "auto"
    validations: int = 4
    checkpoint_seconds: float = 120.0
    watch: Watch = field(default_factory=Watch)
    tensorboard: bool = True


@dataclass(frozen=True, slots=True)
class FitConfig(Course):
    """Everything about a run that is not the model.

    `label` names the run in its progress line; `resume` goes on from a checkpoint. `pause_minutes`
    ends this call early, with a checkpoint, though the budget is not spent: for machines that are
    lent by the quarter of an hour.
    """

    out_dir: Path
    budget: Budget
    label: str = "train"
    device: str = "cpu"
    resume: bool = False
    pause_minutes: float | None = None


@dataclass(frozen=True, slots=True)
class FitSettings(Course):
    """The `[fit]` table of a `train.toml`.

    `minutes` and `steps` are the budget (0: not limited by it); `device` "auto" takes a GPU where
    there is one; `threads` of the processor, 0 for torch's own choice.
    """

    minutes: float = 0.0
    steps: int = 0
    device: str = "auto"
    threads: int = 0
    pause_minutes: float = 0.0

    def device_name(self) -> str:
        """The device that "auto" stands for on this machine, or the one that is named.

        Raises ValueError for one that this machine lacks.
        """
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.empty(0, device=self.device)
        except (AssertionError, RuntimeError) as error:
            reason = f"fit.device is {self.device!r}, which this machine lacks; write auto or cpu"
            raise ValueError(reason) from error
        return self.device

    def config(self, out_dir: Path, label: str, resume: bool = False) -> FitConfig:
        """Raises ValueError where neither minutes nor steps are given."""
        same = {item.name: getattr(self, item.name) for item in fields(Course)}
        return FitConfig(
            out_dir=out_dir,
            budget=Budget(steps=self.steps or None, minutes=self.minutes or None),
            label=label,
            device=self.device_name(),
            resume=resume,
            pause_minutes=self.pause_minutes or None,
            **same,
        )
