"""What the paper compares MTU-Net with: single-class U-Nets and one multi-class U-Net.

In: a name. Out: how to build, train and read each. What must hold: all share the backbone, its
width, and the data; they differ in output nodes and objectives only (Alghamdi 2024, section III.B).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from models.mtu_net.network import PRIOR_LOGITS, MTUNet, backbone, objectives, scaled
from models.mtu_net.spec import CLASSES

# The background has no mask of its own in any of the comparisons.
FOREGROUND = CLASSES[:2]


class MultiClassUNet(nn.Module):
    """Tiles (N, 1, H, W) to logits (N, 3, H, W) of one output layer with one objective."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.backbone = backbone(width)
        self.output = nn.Conv2d(width, len(CLASSES), 1)
        assert self.output.bias is not None
        self.output.bias.data.copy_(torch.tensor([PRIOR_LOGITS[name] for name in CLASSES]))

    def forward(self, tiles: Tensor) -> Tensor:
        logits: Tensor = self.output(self.backbone(scaled(tiles)))
        return logits


def categorical_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean of -sum t log(p / sum p) with p = sigmoid(logits), over all pixels.

    The paper's baseline has "the sigmoid function [...] as the activation function [...] and
    categorical cross-entropy [...] as the loss function"; the framework that it uses divides the
    activations by their sum over the classes first. `logits`, `truth`: (N, 3, H, W).
    """
    logarithm = nn.functional.logsigmoid(logits.float())
    share = logarithm - torch.logsumexp(logarithm, dim=1, keepdim=True)
    return -(truth * share).sum(dim=1).mean()


@dataclass(frozen=True, slots=True)
class Method:
    """One network of a method. `build` takes the width.

    `losses`: from logits and truth (N, 3, H, W) to named objectives. `marks`: from logits to bool
    (N, len(reports), H, W). `reports`: the classes that are read from it.
    """

    build: Callable[[int], nn.Module]
    losses: Callable[[Tensor, Tensor], Mapping[str, Tensor]]
    marks: Callable[[Tensor], Tensor]
    reports: tuple[str, ...]


def _single(name: str) -> Method:
    return Method(
        build=partial(_mtu_net, (name,)),
        losses=partial(objectives, classes=(name,)),
        marks=_above_half,
        reports=(name,),
    )


def _mtu_net(classes: tuple[str, ...], width: int) -> MTUNet:
    return MTUNet(classes, width)


def _above_half(logits: Tensor) -> Tensor:
    return logits[:, : len(FOREGROUND)] > 0.0


def _likeliest(logits: Tensor) -> Tensor:
    """Each pixel belongs to its likeliest class and to no other."""
    winner = logits.argmax(dim=1)
    return torch.stack([winner == index for index in range(len(FOREGROUND))], dim=1)


def _entropy(logits: Tensor, truth: Tensor) -> dict[str, Tensor]:
    return {"categorical_cross_entropy": categorical_cross_entropy(logits, truth)}


METHODS: Mapping[str, tuple[Method, ...]] = {
    "single_class": tuple(_single(name) for name in FOREGROUND),
    "multi_class": (Method(MultiClassUNet, _entropy, _likeliest, FOREGROUND),),
    "mtu_net": (Method(partial(_mtu_net, CLASSES), objectives, _above_half, FOREGROUND),),
}
"""The three rows of Table I; the first is two networks, one for each kind of calcification."""
