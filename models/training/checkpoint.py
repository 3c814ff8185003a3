"""The state of an unfinished training run on disk.

In: everything the next step depends on. Out: one file, replaced atomically, so that a run killed
at any moment goes on from its last checkpoint. What must hold: with a step budget and batches that
are a function of the step number and of the generators in the checkpoint, an interrupted run ends
with the weights of an uninterrupted one, bit for bit on a processor.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from models.training import generators
from models.training.average import WeightAverage
from models.training.generators import Generators
from models.training.watching import Watcher

# What damaged files make of torch's reader.
DAMAGE = (
    *(AttributeError, EOFError, IndexError, KeyError, OverflowError, RuntimeError, TypeError),
    *(ValueError, pickle.UnpicklingError),
)


class CheckpointError(RuntimeError):
    """The checkpoint is damaged, or of a run with other settings; the text says what to do."""


@dataclass(slots=True)
class Position:
    """Where a run is: steps done, seconds of training spent (waiting for data included), and how
    many validations it has had, with the figures of the last one."""

    step: int = 0
    elapsed_seconds: float = 0.0
    validated: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run consists of, beside its position; `restore` changes all of them in place."""

    module: nn.Module
    optimizer: Optimizer
    average: WeightAverage | None
    watcher: Watcher
    generators: Generators


def save(path: Path, position: Position, parts: Parts) -> None:
    """Write the run's state to `path` by way of a temporary file beside it."""
    average = parts.average
    state: dict[str, Any] = {
        "step": position.step,
        "elapsed_seconds": position.elapsed_seconds,
        "validated": position.validated,
        "metrics": dict(position.metrics),
        "module": parts.module.state_dict(),
        "optimizer": parts.optimizer.state_dict(),
        "average": None
        if average is None
        else {"state": average.module.state_dict(), "updates": average.updates},
        "watcher": parts.watcher.state(),
        "generators": generators.state(parts.generators),
    }
    write(path, state)


def restore(path: Path, parts: Parts, device: torch.device) -> Position:
    """Put back what `save` wrote. Raises CheckpointError, also where the module differs."""
    try:
        return _restored(path, parts, device)
    except DAMAGE as error:
        raise CheckpointError(
            f"{path} is damaged, or of a run with other settings; go on with the settings that it "
            f"was begun with, or train into another folder ({str(error).partition(chr(10))[0]})"
        ) from error


def _restored(path: Path, parts: Parts, device: torch.device) -> Position:
    state = torch.load(path, map_location=device, weights_only=True)
    parts.module.load_state_dict(state["module"])
    parts.optimizer.load_state_dict(state["optimizer"])
    if parts.average is not None and state["average"] is not None:
        parts.average.module.load_state_dict(state["average"]["state"])
        parts.average.updates = state["average"]["updates"]
    parts.watcher.restore(state["watcher"])
    generators.restore(state["generators"], parts.generators)
    return Position(state["step"], state["elapsed_seconds"], state["validated"], state["metrics"])


def write(path: Path, state: Any) -> None:
    """`torch.save` that leaves either the old file or the whole new one. Raises OSError."""
    temporary = path.with_suffix(".partial")
    try:
        save_as(temporary, state)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def save_as(path: Path, state: Any) -> None:
    """`torch.save`, which tells of a full disk as of an error of its own. Raises OSError."""
    with path.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            reason = error.__context__ if isinstance(error.__context__, OSError) else error
            raise OSError(f"{path} cannot be written: {str(reason).splitlines()[0]}") from error
