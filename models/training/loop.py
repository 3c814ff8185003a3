"""`fit`: one training run, from the first step or from a checkpoint to the end of its budget.

In: a module, a loss function, and batches as a function of the step number. Out: the module with
its final weights (or the best, where a figure is watched), and the facts of the run. AdamW,
bfloat16 autocast on CUDA and on processors that multiply it (it needs no loss scaling), gradient
clipping, warm-up and cosine over steps or wall clock.
What must hold: a loss that is not finite ends the run with an error before it reaches a checkpoint;
a resumed run repeats an uninterrupted one (see `checkpoint`).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.training import checkpoint
from models.training.average import WeightAverage
from models.training.board import Board
from models.training.checkpoint import Parts, Position
from models.training.generators import Generators
from models.training.progress import Progress
from models.training.schedule import learning_rate_factor
from models.training.settings import FitConfig, FitSettings, Watch
from models.training.watching import Watcher

__all__ = ["FitConfig", "FitResult", "FitSettings", "Watch", "fit", "seed_everything"]

LossFunction = Callable[[nn.Module, Any], Mapping[str, Tensor]]
"""From (module, batch) to named scalar losses; their sum is minimised."""

Batches = Callable[[int], Any]
"""From the step number (0, 1, ...) to a batch on the module's device."""

Validate = Callable[[nn.Module], Mapping[str, float]]
"""From a module in evaluation mode to metrics, which are logged."""

Curriculum = Callable[[nn.Module, float], None]
"""Called with the module, and with its average, before each step, and the spent share of the
budget: what is trained may change with it (size of the images, depth of the network)."""

_REPORT_STEPS = 20  # reading a loss waits for the device, so it is read seldom


@dataclass(frozen=True, slots=True)
class FitResult:
    """`module` is the one to evaluate and export (averaged if there is an average), in eval mode.

    `metrics` are those of the last validation, or of the watched best; empty without one.
    `finished` is False where the call was paused before its budget was spent.
    """

    module: nn.Module
    steps: int
    elapsed_seconds: float
    metrics: Mapping[str, float]
    finished: bool = True


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch (CPU and CUDA): initial weights and augmentation repeat."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def begin(settings: FitSettings) -> torch.device:
    """Seed, set threads and speed, return the device: before anything of a run is made."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    seed_everything(settings.seed)
    return torch.device(settings.device_name())


def fit(
    module: nn.Module,
    loss_fn: LossFunction,
    batches: Batches,
    config: FitConfig,
    validate: Validate | None = None,
    *,
    curriculum: Curriculum | None = None,
    generators: Generators | None = None,
) -> FitResult:
    """Train `module` until the budget is spent, patience ends or the call is paused.

    `generators`: those that `batches` draws from beside the global ones; they are checkpointed.
    Raises FloatingPointError on a non-finite loss.
    """
    run = _Run(module, loss_fn, batches, config, validate, curriculum, generators or {})
    try:
        return run.to_the_end()
    finally:
        run.progress.close()
        run.board.close()


class _Run:
    """The state of one call of `fit`."""

    def __init__(
        self,
        module: nn.Module,
        loss_fn: LossFunction,
        batches: Batches,
        config: FitConfig,
        validate: Validate | None,
        curriculum: Curriculum | None,
        generators: Generators,
    ) -> None:
        self.device = torch.device(config.device)
        self.module = module.to(self.device)
        self.loss_fn, self.batches, self.config, self.validate = loss_fn, batches, config, validate
        self.curriculum = curriculum
        optimizer = torch.optim.AdamW(
            _parameter_groups(module, config.weight_decay), lr=config.learning_rate
        )
        average = WeightAverage(module, config.decay) if config.decay > 0 else None
        self.parts = Parts(module, optimizer, average, Watcher(config.watch), generators)
        self.checkpoint_path = config.out_dir / "checkpoint.pt"
        self.best_path = config.out_dir / "best.pt"
        self.position = Position()
        if config.resume and self.checkpoint_path.is_file():
            self.position = checkpoint.restore(self.checkpoint_path, self.parts, self.device)
        self.progress = Progress(config.out_dir / "log.jsonl", config.label)
        if config.resume:
            self.progress.event("resume", step=self.position.step)
        folder = config.out_dir / "tensorboard" if config.tensorboard else None
        self.board = Board(folder, self.position.step)
        self.called = time.monotonic()
        self.started = self.called - self.position.elapsed_seconds
        self.saved_at = self.position.elapsed_seconds
        self.loss = torch.zeros((), device=self.device)

    def share(self) -> float:
        """The share of the budget that is spent; also brings the position's clock up to date."""
        self.position.elapsed_seconds = time.monotonic() - self.started
        return self.config.budget.progress(self.position.step, self.position.elapsed_seconds)

    def to_the_end(self) -> FitResult:
        share, given_up = self.share(), self.parts.watcher.gives_up()
        while share < 1.0 and not given_up and not self.paused():
            self.one_step(share)
            share = self.share()
            due = math.floor(share * self.config.validations)
            if due > self.position.validated:
                self.position.validated = due
                self.run_validation()
                given_up = self.parts.watcher.gives_up()
            self.checkpoint_if_due()
        finished = share >= 1.0 or given_up
        if not finished:
            self.save()
        self.progress.event(
            "end" if finished else "pause",
            step=self.position.step,
            seconds=round(self.position.elapsed_seconds, 1),
        )
        return self.result(finished)

    def result(self, finished: bool) -> FitResult:
        module, metrics = self.candidate(), self.position.metrics
        if self.parts.watcher.best is not None:
            state = torch.load(self.best_path, map_location=self.device, weights_only=True)
            module.load_state_dict(state)
            metrics = self.parts.watcher.best_metrics
        position = self.position
        return FitResult(module.eval(), position.step, position.elapsed_seconds, metrics, finished)

    def paused(self) -> bool:
        limit = self.config.pause_minutes
        return limit is not None and time.monotonic() - self.called >= 60.0 * limit

    def candidate(self) -> nn.Module:
        """What would be exported now."""
        average = self.parts.average
        return self.module if average is None else average.module

    def one_step(self, share: float) -> None:
        rate = self.config.learning_rate * learning_rate_factor(share, self.config.warm_up)
        optimizer, average = self.parts.optimizer, self.parts.average
        for group in optimizer.param_groups:
            group["lr"] = rate
        if self.curriculum is not None:
            self.curriculum(self.module, share)
            self.curriculum(self.candidate(), share)
        self.module.train()
        batch = self.batches(self.position.step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast()):
            parts = self.loss_fn(self.module, batch)
            loss = torch.stack([part.float() for part in parts.values()]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.gradient_norm)
        optimizer.step()
        if average is not None:
            average.update(self.module)
        self.position.step += 1
        self.loss = loss.detach()
        if self.position.step % _REPORT_STEPS == 0:
            self.report(share, rate, parts)

    def autocast(self) -> bool:
        if self.config.precision == "fp32":
            return False
        # Processors that multiply bfloat16 train 1.7 times as fast in it; on others it is emulated.
        native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
        return self.device.type == "cuda" or native

    def finite_loss(self) -> float:
        total = float(self.loss)
        if not math.isfinite(total):
            raise FloatingPointError(f"loss is {total} at step {self.position.step}")
        return total

    def report(self, share: float, rate: float, parts: Mapping[str, Tensor]) -> None:
        seconds = max(1e-3, time.monotonic() - self.started)
        facts = {"loss": self.finite_loss()}
        facts |= {name: float(part.detach()) for name, part in parts.items()}
        facts |= {"lr": rate, "steps_per_second": self.position.step / seconds}
        self.progress.line(self.position.step, share, seconds, facts)
        self.board.scalars("train", facts, self.position.step)

    def run_validation(self) -> None:
        if self.validate is None:
            return
        candidate, step = self.candidate(), self.position.step
        with torch.inference_mode():
            metrics = dict(self.validate(candidate.eval()))
        self.position.metrics = metrics
        self.progress.event("validation", step=step, **metrics)
        self.board.scalars("validation", metrics, step)
        if self.parts.watcher.is_best(metrics, step):
            checkpoint.write(self.best_path, candidate.state_dict())

    def checkpoint_if_due(self) -> None:
        interval = self.config.checkpoint_seconds
        if interval and self.position.elapsed_seconds - self.saved_at >= interval:
            self.save()

    def save(self) -> None:
        self.finite_loss()
        self.saved_at = self.position.elapsed_seconds
        checkpoint.save(self.checkpoint_path, self.position, self.parts)


def _parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay for matrices and kernels only: on biases and norms it does harm and no good."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trainable if parameter.ndim > 1]
    plain = [parameter for parameter in trainable if parameter.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
