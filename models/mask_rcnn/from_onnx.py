"""Back from a served ONNX file to a network that can be trained on.

In: a network of the same configuration and the file that `export` wrote. Out: its weights in the
network. Export folds each batch normalisation into the convolution before it, so that its four
vectors are lost; any four that give the same function will do in service, but training normalises
by the batch and needs the statistics of the data: `calibrate` measures them on a few images and
leaves the function as it is.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from models.mask_rcnn.network import MaskRCNN
from models.serving.weights import HALF_SUFFIX

_NORMS = {
    "conv1": "bn1",
    "conv2": "bn2",
    "conv3": "bn3",
    "downsample.0": "downsample.1",
    "convolution": "norm",
}
"""Name of the normalisation after a convolution, in MONAI's ResNet and in our semantic head."""

Arrays = dict[str, NDArray[np.float32]]


def restore(network: MaskRCNN, file: Path) -> None:
    """Load the weights in `file`. Raises ValueError where one is missing or differs in size.

    Export keeps equal tensors once, so that each is looked up through the node that reads it.
    """
    graph = onnx.load(str(file)).graph
    values: Arrays = {
        item.name.removesuffix(HALF_SUFFIX): numpy_helper.to_array(item).astype(np.float32)
        for item in graph.initializer
        if item.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    }
    state = network.state_dict()
    found: dict[str, Tensor] = {}
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm"):
            continue
        path, (weight, bias) = _path(node.name), (values[name] for name in node.input[1:3])
        if f"{path}.bias" in state:
            found[f"{path}.weight"] = torch.from_numpy(weight.copy())
            found[f"{path}.bias"] = torch.from_numpy(bias.copy())
        else:
            found |= _unfolded(path, weight, bias)
    _refuse_gaps(state, found)
    network.load_state_dict(found, strict=False)


def calibrate(network: MaskRCNN, images: Tensor) -> None:
    """Give every normalisation the statistics of `images` (n, 3, height, width), grey 0 to 255.

    What the network computes in evaluation stays the same.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(_measure) for norm in norms]
    training = network.training
    with torch.inference_mode():
        network.eval().features(images)
    for hook in hooks:
        hook.remove()
    network.train(training)


def settle(network: MaskRCNN) -> None:
    """Keep the statistics of every normalisation in training, too.

    For fine-tuning on a few images a step: what they would measure is noisier than what is known.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                settled = _Settled(child.num_features, child.eps)
                settled.load_state_dict(child.state_dict())
                setattr(parent, name, settled.eval())


class _Settled(nn.BatchNorm2d):
    """A normalisation that never goes into training: a scale and a shift that are learnt."""

    def train(self, mode: bool = True) -> _Settled:
        super().train(False)
        return self


@torch.no_grad()
def _measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Same line y = scale * x + shift, written with the mean and variance of x."""
    assert isinstance(norm, nn.BatchNorm2d)
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    shift = norm.bias - scale * mean
    seen = inputs[0].float()
    mean.copy_(seen.mean(dim=(0, 2, 3)))
    variance.copy_(seen.var(dim=(0, 2, 3)))
    norm.weight.copy_(scale * torch.sqrt(variance + norm.eps))
    norm.bias.copy_(shift + scale * mean)


def _path(node_name: str) -> str:
    """/backbone/layer1/layer1.0/conv1/Conv is backbone.resnet.layer1.0.conv1.

    A module that is called again has a number at the end: /proposals/convolution_3/Conv.
    """
    parts: list[str] = []
    for part in node_name.split("/")[1:-1]:
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()
        parts.append(part)
    if parts[0] == "backbone" and "pyramid" not in parts:
        parts.insert(1, "resnet")
    return re.sub(r"_\d+$", "", ".".join(parts))


def _unfolded(
    path: str, weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> dict[str, Tensor]:
    """A convolution and a normalisation behind it that only adds the bias."""
    ending = next((name for name in _NORMS if path.endswith("." + name)), None)
    if ending is None:
        raise ValueError(f"no normalisation is known behind {path}")
    norm = path.removesuffix(ending) + _NORMS[ending]
    count = len(bias)
    return {
        f"{path}.weight": torch.from_numpy(weight.copy()),
        f"{norm}.weight": torch.ones(count),
        f"{norm}.bias": torch.from_numpy(bias.copy()),
        f"{norm}.running_mean": torch.zeros(count),
        # With the normalisation's own 1e-5 this is a variance of 1.
        f"{norm}.running_var": torch.full((count,), 1.0 - 1e-5),
    }


def _refuse_gaps(state: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    for name, values in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in found:
            raise ValueError(f"the file holds no {name}: it is of another network")
        if found[name].shape != values.shape:
            there, here = tuple(found[name].shape), tuple(values.shape)
            raise ValueError(f"{name} is {there} in the file and {here} in the network")
