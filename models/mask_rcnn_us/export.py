"""Write this model's part of the model repository from trained weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from models.mask_rcnn.export import publish
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn_us.spec import CONFIG, SPEC
from models.training import weights as parts


def export(weights: Path, repository: Path) -> Path:
    """Turn `weights` (a folder of parts) into what Triton loads; returns the model's folder."""
    return publish(CONFIG, SPEC, weights, repository)


def module(weights: Path | None) -> nn.Module:
    """What is exported, with the weights of a training run, or with any."""
    network = MaskRCNN(CONFIG)
    if weights is not None:
        parts.load(network, weights)
    return network
