"""An exponential moving average of the weights, which is what gets evaluated and exported.

In: the module after each step. Out: a second state with less noise than the last step's (Polyak
and Juditsky, "Acceleration of Stochastic Approximation by Averaging"). Floating-point buffers (the
statistics of batch normalisation) are averaged as well; integer buffers are copied.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """Holds `module`, a copy whose state follows the trained module's with decay `decay`."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards `module`; early updates weigh more, so that the start is forgotten."""
        self.updates += 1
        decay = min(self.decay, (1.0 + self.updates) / (10.0 + self.updates))
        averaged: list[Tensor] = []
        latest: list[Tensor] = []
        for mine, theirs in zip(
            self.module.state_dict().values(), module.state_dict().values(), strict=True
        ):
            if mine.is_floating_point():
                averaged.append(mine)
                latest.append(theirs)
            else:
                mine.copy_(theirs)
        # One fused kernel per group of tensors: a Python loop costs as much as a training step.
        torch._foreach_lerp_(averaged, latest, 1.0 - decay)
