"""The weights of a served ONNX file, back in the torch module that it was exported from.

In: a module with any weights and the file of the model repository. Out: the module, which then
computes what the file says. What must hold: every weight of the module is set, or it is an error.

Export folds each batch normalisation into the convolution before it. Here the folded weights stand
in the convolution, and the normalisation behind it only adds the bias. What follows what is seen on
one pass, not read from names. For training on, statistics must be measured anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from models.serving.weights import HALF_SUFFIX

_WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
_OPERATORS = ("Conv", "ConvTranspose", "Gemm")

Norms = dict[nn.Module, nn.BatchNorm2d]
Stored = list[tuple[tuple[str, ...], Tensor, Tensor]]


def restore(module: nn.Module, path: Path, example: Sequence[Tensor]) -> None:
    """Fill `module` in place; `example` are its inputs. Raises ValueError for another network."""
    stored = _read(path)
    norms = _followers(module, example)
    filled: set[int] = set()
    for name, layer in module.named_modules():
        if isinstance(layer, _WEIGHTED):
            weight, bias = _find(stored, tuple(name.split(".")), layer.weight.shape, path)
            filled |= _fill(layer, norms.get(layer), weight, bias)
    forgotten = [name for name, value in module.named_parameters() if id(value) not in filled]
    if forgotten:
        raise ValueError(f"{path} holds nothing for {', '.join(forgotten[:3])}")


def _read(path: Path) -> Stored:
    """Scope of each layer, outermost first, with weight and bias, in the order of the graph.

    The scope of /backbone/layer1/layer1.0/conv1/Conv is backbone, layer1, 0, conv1.
    """
    graph = onnx.load(str(path)).graph
    values = {
        item.name.removesuffix(HALF_SUFFIX): numpy_helper.to_array(item)
        for item in graph.initializer
    }
    stored: Stored = []
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]  # equal weights are stored once
        names = list(node.input[1:3])
        if node.op_type in _OPERATORS and len(names) == 2 and set(names) <= set(values):
            scope = tuple(part.rpartition(".")[2] for part in node.name.split("/")[1:-1])
            weight, bias = (torch.tensor(values[n].astype(np.float32)) for n in names)
            stored.append((scope, weight, bias))
    return stored


def _followers(module: nn.Module, example: Sequence[Tensor]) -> Norms:
    """The normalisation that takes each convolution's output, as one pass shows."""
    made: dict[int, nn.Module] = {}
    kept: list[Tensor] = []  # alive, so that no other tensor gets the same id
    norms: Norms = {}

    def after(layer: nn.Module, _: object, output: Tensor) -> None:
        made[id(output)] = layer
        kept.append(output)

    def before(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        layer = made.get(id(inputs[0]))
        if layer is not None and isinstance(norm, nn.BatchNorm2d):
            norms[layer] = norm

    handles = [
        layer.register_forward_hook(after)
        for layer in module.modules()
        if isinstance(layer, _WEIGHTED)
    ] + [
        layer.register_forward_pre_hook(before)
        for layer in module.modules()
        if isinstance(layer, nn.BatchNorm2d)
    ]
    with torch.inference_mode():
        module.eval()(*example)
    for handle in handles:
        handle.remove()
    return norms


def _find(
    stored: Stored, name: tuple[str, ...], shape: torch.Size, path: Path
) -> tuple[Tensor, Tensor]:
    """The layer of that name: tracing leaves out levels, and numbers what is called again."""
    fitting = [
        (len(scope), weight, bias)
        for scope, weight, bias in stored
        if weight.shape == shape and _is_within(scope, name)
    ]
    if not fitting:
        raise ValueError(f"{path} holds no {'.'.join(name)} of size {tuple(shape)}")
    longest = max(length for length, _, _ in fitting)
    of_longest = [(weight, bias) for length, weight, bias in fitting if length == longest]
    weight, bias = of_longest[0]
    if any(not torch.equal(weight, other) for other, _ in of_longest[1:]):
        raise ValueError(f"{path} holds several {'.'.join(name)}")
    return weight, bias


def _is_within(scope: tuple[str, ...], name: tuple[str, ...]) -> bool:
    """The last parts are equal, and the scope's others stand in the name in the same order."""
    plain = [*scope[:-1], _unnumbered(scope[-1], name[-1])]
    rest = iter(name)
    return plain[-1] == name[-1] and all(part in rest for part in plain)


def _unnumbered(part: str, expected: str) -> str:
    head, _, number = part.rpartition("_")
    return expected if head == expected and number.isdigit() else part


def _fill(layer: nn.Module, norm: nn.BatchNorm2d | None, weight: Tensor, bias: Tensor) -> set[int]:
    """Set the layer's parameters, and its normalisation's; returns their ids."""
    assert isinstance(layer, _WEIGHTED)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if norm is None:
            if layer.bias is None:
                raise ValueError("a layer without bias and without normalisation has one stored")
            layer.bias.copy_(bias)
            return {id(layer.weight), id(layer.bias)}
        if layer.bias is not None:
            layer.bias.zero_()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0 - norm.eps)
        norm.weight.fill_(1.0)
        norm.bias.copy_(bias)
    return {id(value) for value in (*layer.parameters(), *norm.parameters())}
