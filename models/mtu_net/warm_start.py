"""Start MTU-Net from the exported model instead of from random weights.

In: `model.onnx` of the repository. Out: a network that gives the same answers and can be trained.
The export has folded each batch normalisation into its convolution; here the folded weights stand
in the convolution and the normalisation starts as the identity on a given batch, so that its
statistics are right from the first step. Filters are brought to the length of freshly drawn ones:
what a normalisation follows has no scale of its own, but a short filter turns under small steps.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import pairwise
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from models.mtu_net.network import MTUNet

_FILTER_LENGTH = 3.0**-0.5  # of a filter that torch has just drawn, whatever its size
_FOLDED = re.compile(r"onnx::Conv_(\d+)")


def load(network: MTUNet, onnx_path: Path, tiles: Tensor, logits: float = 1.0) -> None:
    """Fill `network` in place; `tiles` (N, 1, H, W) are ordinary input. Raises ValueError.

    `logits`: factor on the output nodes' answers. Below 1 they are less sure: on images of another
    kind trained ones say a sure no, and a saturated sigmoid passes no gradient on.
    """
    stored = {
        tensor.name.removesuffix("_half"): torch.from_numpy(
            numpy_helper.to_array(tensor).astype("float32")
        )
        for tensor in onnx.load(onnx_path).graph.initializer
    }
    _named(network, stored)
    for parameter in network.heads.parameters():
        parameter.data.mul_(logits)
    folded = [stored[name] for name in sorted(filter(_FOLDED.fullmatch, stored), key=_number)]
    pairs = _normalised(network)
    if len(folded) != 2 * len(pairs):
        raise ValueError(f"{onnx_path} is no export of this network")
    handles = []
    for (convolution, norm), weight, bias in zip(pairs, folded[::2], folded[1::2], strict=True):
        assert convolution.bias is not None
        length = weight.flatten(1).norm(dim=1).clamp(min=1e-6) / _FILTER_LENGTH
        _fill(convolution.weight, weight / length[:, None, None, None])
        _fill(convolution.bias, bias / length)
        handles.append(norm.register_forward_pre_hook(partial(_become_scale, length)))
    with torch.inference_mode():
        network.eval()(tiles)
    for handle in handles:
        handle.remove()
    network.train()


def _become_scale(length: Tensor, norm: nn.Module, inputs: tuple[Tensor]) -> None:
    """Take mean and variance of the batch, and undo them by scale and shift, times `length`."""
    assert isinstance(norm, nn.BatchNorm2d)
    (features,) = inputs
    mean, variance = features.mean((0, 2, 3)), features.var((0, 2, 3))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    for own, value in (
        (norm.running_mean, mean),
        (norm.running_var, variance),
        (norm.weight, (variance + norm.eps).sqrt() * length),
        (norm.bias, mean * length),
    ):
        own.data.copy_(value)


def _named(network: MTUNet, stored: dict[str, Tensor]) -> None:
    """The parameters that the export left under their own names."""
    own = dict(network.named_parameters())
    for name, value in stored.items():
        parameter = own.get(name.removeprefix("network."))
        if parameter is not None:
            _fill(parameter, value)


def _normalised(network: MTUNet) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution with the normalisation behind it, in the order of the forward pass."""
    modules = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    return [
        (first, second)
        for first, second in pairwise(modules)
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d)
    ]


def _fill(parameter: Tensor, value: Tensor) -> None:
    if parameter.shape != value.shape:
        raise ValueError(f"exported weights of {tuple(value.shape)} do not fit this network")
    parameter.data.copy_(value)


def _number(name: str) -> int:
    return int(name.rsplit("_", 1)[1])
