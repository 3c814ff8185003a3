"""The state of an unfinished training run on disk.

In: everything the next step depends on. Out: one file, replaced atomically, so that a run killed
at any moment goes on from its last checkpoint. What must hold: with a step budget and batches that
are a function of the step number, an interrupted run ends with the weights of an uninterrupted one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from models.training.average import WeightAverage


@dataclass(slots=True)
class Position:
    """Where a run is: steps done and seconds of training spent (waiting for data included)."""

    step: int = 0
    elapsed_seconds: float = 0.0


def save(
    path: Path,
    position: Position,
    module: nn.Module,
    optimizer: Optimizer,
    average: WeightAverage | None,
) -> None:
    """Write the run's state to `path` by way of a temporary file beside it."""
    state: dict[str, Any] = {
        "step": position.step,
        "elapsed_seconds": position.elapsed_seconds,
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": None
        if average is None
        else {"state": average.module.state_dict(), "updates": average.updates},
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load(
    path: Path,
    module: nn.Module,
    optimizer: Optimizer,
    average: WeightAverage | None,
    device: torch.device,
) -> Position:
    """Restore what `save` wrote, in place. Raises RuntimeError where the module differs."""
    state = torch.load(path, map_location=device, weights_only=True)
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    if average is not None and state["average"] is not None:
        average.module.load_state_dict(state["average"]["state"])
        average.updates = state["average"]["updates"]
    torch.set_rng_state(state["rng"].cpu())
    if state["cuda_rng"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([rng.cpu() for rng in state["cuda_rng"]])
    return Position(step=state["step"], elapsed_seconds=state["elapsed_seconds"])
