"""The second stage: class and box of a proposal, mask of a detection."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.roi import GRID

_POOLED = GRID // 2
_REFINED_CHANNELS = 64


class BoxHead(nn.Module):
    """Two hidden layers, then class logits and one box per proposal.

    The box is shared by the classes: with one kind of mass nothing is lost, and suppression can
    treat each proposal once.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.first = nn.Linear(config.channels * _POOLED * _POOLED, config.hidden)
        self.second = nn.Linear(config.hidden, config.hidden)
        self.classes = nn.Linear(config.hidden, config.classes)
        self.offsets = nn.Linear(config.hidden, 4)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.normal_(self.offsets.weight, std=0.001)
        for layer in (self.classes, self.offsets):
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (k, classes) and offsets (k, 4) from samples (k, GRID, GRID, channels)."""
        pooled = functional.avg_pool2d(features.permute(0, 3, 1, 2), 2)
        hidden = torch.relu(self.first(pooled.flatten(1)))
        hidden = torch.relu(self.second(hidden))
        return self.classes(hidden).float(), self.offsets(hidden).float()


class MaskHead(nn.Module):
    """A small fully convolutional network on each box, 28 x 28 cells per foreground class."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        refined = config.mask_head == "refined"
        width = _REFINED_CHANNELS if refined else config.channels
        layers: list[nn.Module] = []
        for number in range(4):
            before = config.channels if number == 0 else width
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(width, width, 2, stride=2), nn.ReLU(inplace=True)]
        if refined:
            layers += [nn.ConvTranspose2d(width, width, 3, padding=1), nn.ReLU(inplace=True)]
        for layer in layers:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(cast(Tensor, layer.bias))
        last = nn.Conv2d(width, config.classes - 1, 1)
        nn.init.normal_(last.weight, std=0.01)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (k, classes - 1, 28, 28) from samples (k, GRID, GRID, channels)."""
        return cast(Tensor, self.layers(features.permute(0, 3, 1, 2))).float()
