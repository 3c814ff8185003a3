"""From trained weights to the model repository."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from models.export import publish
from models.mtu_net.network import MTUNet, ServedMTUNet
from models.mtu_net.spec import SPEC
from models.training import weights

# Outputs are bytes: rounding may fall the other way by one.
TOLERANCE = 1.0


def export(weights_dir: Path, root: Path) -> Path:
    """Write `root/mtu_net`. Raises ValueError where ONNX Runtime disagrees with torch."""
    return publish(module(weights_dir), SPEC, root, TOLERANCE)


def module(weights_dir: Path | None) -> nn.Module:
    """What is exported, with the weights of a training run, or with any."""
    network = MTUNet()
    if weights_dir is not None:
        weights.load(network, weights_dir)
    return ServedMTUNet(network)


def export_module(network: MTUNet, root: Path) -> Path:
    """The same from a network in memory."""
    return publish(ServedMTUNet(network), SPEC, root, TOLERANCE)
