"""From trained weights to the model repository."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from models.export import publish
from models.resnet50.network import ResNet50, ServedResNet50
from models.resnet50.spec import SPEC
from models.training import weights

TOLERANCE = 1e-4  # of a probability; fifty layers of float32 in another order of summation


def export(weights_dir: Path, root: Path) -> Path:
    """Write `root/resnet50`. Raises ValueError where ONNX Runtime disagrees with torch."""
    return publish(module(weights_dir), SPEC, root, TOLERANCE)


def module(weights_dir: Path | None) -> nn.Module:
    """What is exported, with the weights of a training run, or with any."""
    network = ResNet50()
    if weights_dir is not None:
        weights.load(network, weights_dir)
    return ServedResNet50(network)


def export_module(network: ResNet50, root: Path) -> Path:
    """The same from a network in memory."""
    return publish(ServedResNet50(network), SPEC, root, TOLERANCE)
