"""From trained weights to the model repository."""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import nn

from models import repository
from models.export import largest_difference, to_onnx
from models.resnet50.network import ResNet50, ServedResNet50
from models.resnet50.spec import SPEC
from models.training import weights

TOLERANCE = 1e-4  # of a probability; fifty layers of float32 in another order of summation


def export(weights_dir: Path, root: Path) -> Path:
    """Write `root/resnet50`. Raises ValueError where ONNX Runtime disagrees with torch."""
    network = ResNet50()
    weights.load(network, weights_dir)
    return export_module(network, root)


def module(weights_dir: Path | None) -> nn.Module:
    """What is exported, with the weights of a training run, or with any."""
    network = ResNet50()
    if weights_dir is not None:
        weights.load(network, weights_dir)
    return ServedResNet50(network)


def export_module(network: ResNet50, root: Path) -> Path:
    """The same from a network in memory."""
    served = ServedResNet50(network)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.onnx"
        to_onnx(served, SPEC, path)
        difference = largest_difference(served, SPEC, path)
        if difference > TOLERANCE:
            raise ValueError(f"ONNX Runtime differs from torch by {difference}")
        parity = {"largest_difference": difference, "tolerance": TOLERANCE}
        return repository.write(SPEC, path, root, parity=parity)
