"""`fit`: one training run, from the first step or from a checkpoint to the end of its budget.

In: a module, a loss function, and batches as a function of the step number. Out: the module with
its final weights, the averaged copy, and the facts of the run. AdamW, bfloat16 autocast on CUDA
and on processors that multiply it (it needs no loss scaling), gradient clipping, warm-up and
cosine over steps or wall clock.
What must hold: a loss that is not finite ends the run with an error before it reaches a checkpoint.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from models.training import checkpoint
from models.training.average import WeightAverage
from models.training.checkpoint import Position
from models.training.progress import Progress
from models.training.schedule import Budget, learning_rate_factor

LossFunction = Callable[[nn.Module, Any], Mapping[str, Tensor]]
"""From (module, batch) to named scalar losses; their sum is minimised."""

Batches = Callable[[int], Any]
"""From the step number (0, 1, ...) to a batch on the module's device."""

Validate = Callable[[nn.Module], Mapping[str, float]]
"""From a module in evaluation mode to metrics, which are logged."""

_REPORT_STEPS = 20  # reading a loss waits for the device, so it is read seldom


@dataclass(frozen=True, slots=True)
class FitConfig:
    """Everything about a run that is not the model. `decay` 0 trains without an average.

    `label` names the run in its progress line; `validations` are spread evenly over the budget,
    the last one at its end. `checkpoint_seconds` 0 writes none; `resume` goes on from one.
    """

    out_dir: Path
    budget: Budget
    label: str = "train"
    device: str = "cpu"
    seed: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.03
    gradient_norm: float = 5.0
    decay: float = 0.998
    precision: Literal["auto", "fp32"] = "auto"
    validations: int = 4
    checkpoint_seconds: float = 120.0
    resume: bool = False


@dataclass(frozen=True, slots=True)
class FitResult:
    """`module` is the one to evaluate and export (averaged if there is an average), in eval mode.

    `metrics` are those of the last validation, empty without one.
    """

    module: nn.Module
    steps: int
    elapsed_seconds: float
    metrics: Mapping[str, float]


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch (CPU and CUDA): initial weights and augmentation repeat."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def fit(
    module: nn.Module,
    loss_fn: LossFunction,
    batches: Batches,
    config: FitConfig,
    validate: Validate | None = None,
) -> FitResult:
    """Train `module` until the budget is spent. Raises FloatingPointError on a non-finite loss."""
    return _Run(module, loss_fn, batches, config, validate).to_the_end()


class _Run:
    """The state of one call of `fit`."""

    def __init__(
        self,
        module: nn.Module,
        loss_fn: LossFunction,
        batches: Batches,
        config: FitConfig,
        validate: Validate | None,
    ) -> None:
        self.device = torch.device(config.device)
        self.module = module.to(self.device)
        self.loss_fn, self.batches, self.config, self.validate = loss_fn, batches, config, validate
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(module, config.weight_decay), lr=config.learning_rate
        )
        self.average = WeightAverage(module, config.decay) if config.decay > 0 else None
        self.progress = Progress(config.out_dir / "log.jsonl", config.label)
        self.checkpoint_path = config.out_dir / "checkpoint.pt"
        self.position = Position()
        if config.resume and self.checkpoint_path.is_file():
            self.position = checkpoint.load(
                self.checkpoint_path, self.module, self.optimizer, self.average, self.device
            )
        self.started = time.monotonic() - self.position.elapsed_seconds
        self.saved_at = self.position.elapsed_seconds
        self.metrics: Mapping[str, float] = {}
        self.loss = torch.zeros((), device=self.device)

    def share(self) -> float:
        """The share of the budget that is spent; also brings the position's clock up to date."""
        self.position.elapsed_seconds = time.monotonic() - self.started
        return self.config.budget.progress(self.position.step, self.position.elapsed_seconds)

    def to_the_end(self) -> FitResult:
        share = self.share()
        validated = math.floor(share * self.config.validations)
        while share < 1.0:
            self.one_step(share)
            share = self.share()
            due = math.floor(share * self.config.validations)
            if due > validated:
                validated = due
                self.run_validation()
            self.checkpoint_if_due()
        best = self.module if self.average is None else self.average.module
        self.progress.event(
            "end", step=self.position.step, seconds=round(self.position.elapsed_seconds, 1)
        )
        return FitResult(
            best.eval(), self.position.step, self.position.elapsed_seconds, self.metrics
        )

    def one_step(self, share: float) -> None:
        rate = self.config.learning_rate * learning_rate_factor(share, self.config.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.module.train()
        batch = self.batches(self.position.step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast()):
            parts = self.loss_fn(self.module, batch)
            loss = torch.stack([part.float() for part in parts.values()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.gradient_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.module)
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
        facts = {"loss": self.finite_loss()}
        facts |= {name: float(part.detach()) for name, part in parts.items()}
        facts |= {"lr": rate, "steps_per_second": self.position.step / self.elapsed_seconds()}
        self.progress.line(self.position.step, share, facts)

    def elapsed_seconds(self) -> float:
        return max(1e-3, time.monotonic() - self.started)

    def run_validation(self) -> None:
        if self.validate is None:
            return
        candidate = self.module if self.average is None else self.average.module
        with torch.inference_mode():
            self.metrics = dict(self.validate(candidate.eval()))
        self.progress.event("validation", step=self.position.step, **self.metrics)

    def checkpoint_if_due(self) -> None:
        interval = self.config.checkpoint_seconds
        if interval and self.position.elapsed_seconds - self.saved_at >= interval:
            self.finite_loss()
            self.saved_at = self.position.elapsed_seconds
            checkpoint.save(
                self.checkpoint_path, self.position, self.module, self.optimizer, self.average
            )


def _parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay for matrices and kernels only: on biases and norms it does harm and no good."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trainable if parameter.ndim > 1]
    plain = [parameter for parameter in trainable if parameter.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
