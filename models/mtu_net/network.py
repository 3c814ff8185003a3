"""The MTU-Net: one U-Net, one output node and one objective per class.

In: uint8 tiles (N, 1, 256, 256) of a mammogram. Out: probabilities of microcalcification (MC),
breast arterial calcification (BAC) and background, each class on its own: arteries and clusters may
overlap, so the classes share no softmax (Alghamdi, "MTU-Net: Multi-Task Convolutional Neural
Network for Breast Calcification Segmentation from Mammograms", 2024, section II.B).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import torch
from monai.networks.nets.basic_unet import BasicUNet
from torch import nn

from models.mtu_net.spec import CLASSES

# Channels of the first of five levels; they double at each step, as in the paper, from 16 instead
# of 64: a sixteenth of the arithmetic, which a CPU can do for the tiles of a whole mammogram.
WIDTH = 16

# A calcification covers about one pixel in a thousand; starting there instead of at one half keeps
# the first steps from spending themselves on the background.
PRIOR_LOGITS = {"mc": -3.0, "bac": -3.0, "background": 3.0}


class MTUNet(nn.Module):
    """Tiles uint8 (N, 1, H, W), H and W multiples of 16, to logits float32 (N, classes, H, W).

    `classes`: one output node each. With a single one this is the paper's single-class U-Net.
    """

    def __init__(self, classes: Sequence[str] = CLASSES, width: int = WIDTH) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.backbone = backbone(width)
        self.heads = nn.ModuleDict({name: _head(width, PRIOR_LOGITS[name]) for name in classes})

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        features = self.backbone(scaled(tiles))
        return torch.cat([self.heads[name](features) for name in self.classes], dim=1)


def backbone(width: int) -> nn.Module:
    """The shared feature pool: (N, 1, H, W) to (N, width, H, W)."""
    features = (width, 2 * width, 4 * width, 8 * width, 16 * width, width)
    with contextlib.redirect_stdout(io.StringIO()):  # MONAI prints its feature list
        network = BasicUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            features=features,
            act=("relu", {"inplace": True}),
            norm="batch",
            upsample="deconv",
        )
    network.final_conv = nn.Identity()
    return network


def scaled(tiles: torch.Tensor) -> torch.Tensor:
    """Bytes to float32 in [-1, 1]."""
    return tiles.float() / 127.5 - 1.0


def _head(width: int, prior_logit: float) -> nn.Conv2d:
    """The output node of one class."""
    head = nn.Conv2d(width, 1, 1)
    assert head.bias is not None
    nn.init.constant_(head.bias, prior_logit)
    return head


class ServedMTUNet(nn.Module):
    """What is exported: the same network, its probabilities rounded to 1/255 as uint8.

    Bytes instead of floats: the answer for a mammogram of 20 tiles is 4 MB instead of 16.
    """

    def __init__(self, network: MTUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        return torch.round(torch.sigmoid(self.network(tiles)) * 255.0).to(torch.uint8)


def negative_dice(probability: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Equation 1: -2 (a . b) / (|a| + |b|), over the whole batch, for one class.

    `probability`, `truth`: (N, H, W) in [0, 1]. One pixel is added to numerator and denominator, so
    that a batch without the class is perfect (-1) where nothing is predicted.
    """
    overlap = (probability * truth).sum()
    return -(2.0 * overlap + 1.0) / (probability.sum() + truth.sum() + 1.0)


def objectives(
    logits: torch.Tensor, truth: torch.Tensor, classes: Sequence[str] = CLASSES
) -> dict[str, torch.Tensor]:
    """One negative Dice per class, all of weight 1.0 (section II.B).

    `logits`: (N, classes, H, W). `truth`: (N, 3, H, W) in the order of CLASSES.
    """
    probabilities = torch.sigmoid(logits.float())
    return {
        name: negative_dice(probabilities[:, index], truth[:, CLASSES.index(name)])
        for index, name in enumerate(classes)
    }
