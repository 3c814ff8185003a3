"""The heads: class and box of a proposal, mask of a detection; semantic map and image class."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.mask_rcnn.configuration import IMAGE_CLASSES, NetworkConfig
from models.mask_rcnn.roi import GRID

_POOLED = GRID // 2
_REFINED_CHANNELS = 64
_POOLED_LEVELS = 3  # P3 to P5


def roi_channels(config: NetworkConfig) -> int:
    """Channels of what a box reads: the pyramid's, and the semantic map where there is one."""
    return config.channels + int(config.semantic)


class BoxHead(nn.Module):
    """Two hidden layers, then class logits and one box per proposal.

    The box is shared by the classes: with one kind of mass nothing is lost, and suppression can
    treat each proposal once.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.first = nn.Linear(roi_channels(config) * _POOLED * _POOLED, config.hidden)
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
    """A small fully convolutional network on each box, 28 x 28 cells per mask."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        refined = config.mask_head == "refined"
        width = _REFINED_CHANNELS if refined else config.channels
        layers: list[nn.Module] = []
        for number in range(4):
            before = roi_channels(config) if number == 0 else width
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(width, width, 2, stride=2), nn.ReLU(inplace=True)]
        if refined:
            layers += [nn.ConvTranspose2d(width, width, 3, padding=1), nn.ReLU(inplace=True)]
        for layer in layers:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(cast(Tensor, layer.bias))
        last = nn.Conv2d(width, config.mask_classes, 1)
        nn.init.normal_(last.weight, std=0.01)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (k, mask_classes, 28, 28) from samples (k, GRID, GRID, channels)."""
        return cast(Tensor, self.layers(features.permute(0, 3, 1, 2))).float()


class SemanticHead(nn.Module):
    """Where in the image lesions are, whatever their number: one logit per cell of P2."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(config.channels, config.channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(config.channels)
        self.last = nn.Conv2d(config.channels, 1, 1)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(cast(Tensor, self.last.bias))

    def forward(self, finest: Tensor) -> Tensor:
        """Logits (n, 1, height, width) from P2."""
        return cast(Tensor, self.last(torch.relu(self.norm(self.convolution(finest))))).float()


class ImageHead(nn.Module):
    """The image's class from what lies in the likely lesion, around it, and everywhere.

    Shadow and enhancement behind a lesion tell malignant from benign and lie outside its box, so
    that the box head does not see them.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(_POOLED_LEVELS * 2 * config.channels + 2, config.hidden)
        self.dropout = nn.Dropout(0.3)
        self.last = nn.Linear(config.hidden, len(IMAGE_CLASSES))

    def forward(self, maps: list[Tensor], semantic: Tensor) -> Tensor:
        """Logits (n, 3) from P2 to P6 and the semantic logits (n, 1, height, width) at P2."""
        weight = torch.sigmoid(semantic)
        parts = [weight.mean(dim=(1, 2, 3)).unsqueeze(1), weight.amax(dim=(1, 2, 3)).unsqueeze(1)]
        for features in maps[1 : 1 + _POOLED_LEVELS]:
            weight = functional.avg_pool2d(weight, 2)
            features = features.float()
            parts.append(features.mean(dim=(2, 3)))
            total = weight.sum(dim=(2, 3)) + 1.0
            parts.append((features * weight).sum(dim=(2, 3)) / total)
        hidden = torch.relu(self.hidden(torch.cat(parts, dim=1)))
        return cast(Tensor, self.last(self.dropout(hidden))).float()
