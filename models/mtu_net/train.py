"""Train MTU-Net or one of its baselines: `sentinode models train mtu_net --data DIR`.

In: folders of real mammograms, whose normal ones are backgrounds for inserted calcium (without a
folder: phantoms alone), and `train.toml`. Out: `weights.*.pt` and `log.jsonl`. What must hold: the
patients that validate, and every patient with a real calcification, are never trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from models.mtu_net import warm_start
from models.mtu_net.augment import Batch, augmented, one_hot
from models.mtu_net.baselines import METHODS, Method
from models.mtu_net.network import WIDTH, MTUNet
from models.mtu_net.spec import CLASSES
from models.mtu_net.stocks import DataSettings, stocks
from models.training import weights
from models.training.folds import Fold
from models.training.loop import FitSettings, begin, fit
from models.training.samples import SampleStock

START_SAMPLES = 4  # enough tiles for the statistics of a network that is started from an export
FIRST_STEP_SAMPLES = 100  # fewer would be learnt by heart while the others are being made

NETWORKS: Mapping[str, Method] = {
    "mtu_net": METHODS["mtu_net"][0],
    "multi_class": METHODS["multi_class"][0],
    "single_class_mc": METHODS["single_class"][0],
    "single_class_bac": METHODS["single_class"][1],
}


@dataclass(frozen=True, slots=True)
class Config:
    """`train.toml`. `width`: channels at the top.

    `initial`: folder with `weights.*.pt` to start from, or an exported model.onnx, whose answers
    are weakened by `initial_logits` (see `warm_start`).
    """

    network: Literal["mtu_net", "multi_class", "single_class_mc", "single_class_bac"] = "mtu_net"
    width: int = WIDTH
    initial: Path | None = None
    initial_logits: float = 0.4
    data: DataSettings = field(default_factory=DataSettings)
    fit: FitSettings = field(default_factory=FitSettings)


def run(
    config: Config,
    data: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
    fold: Fold | None = None,
) -> Mapping[str, float]:
    """Dice of each class over the held-out tiles, after one run."""
    device = begin(config.fit)
    method = NETWORKS[config.network]
    # Channels last: a third faster on processors, and what tensor cores want.
    network = method.build(config.width).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with ExitStack() as stack:
        stock, validation = stocks(config.data, data, fold, device, stack)
        # Batches of a resumed run repeat only if they are drawn from as many samples.
        stock.complete() if resume else stock.wait(FIRST_STEP_SAMPLES)
        _start(network, config, stock)
        result = fit(
            network,
            lambda module, batch: method.losses(module(batch[0]), batch[1]),
            batches(stock, config),
            config.fit.config(out, config.network, resume),
            validate(validation, method),
        )
    weights.save(result.module, out)
    return result.metrics


def prepare(config: Config, data: Sequence[Path]) -> None:
    """Draw all samples into `data.packs` and train nothing. Raises ValueError without a folder."""
    if config.data.packs is None:
        raise ValueError("data.packs names no folder to keep the samples in")
    with ExitStack() as stack:
        for stock in stocks(config.data, data, None, torch.device("cpu"), stack):
            stock.complete()


def _start(network: nn.Module, config: Config, stock: SampleStock) -> None:
    """Begin with the weights that the configuration names, if it does."""
    if config.initial is None or config.initial.suffix != ".onnx":
        weights.start(network, config.initial)
        return
    if not isinstance(network, MTUNet):
        raise ValueError("only mtu_net can start from an export")
    tiles, _ = stock.batch(0, START_SAMPLES, config.fit.seed)
    tiles = tiles.flatten(0, 1)[:, None].cpu()
    warm_start.load(network, config.initial, tiles, config.initial_logits)


def batches(stock: SampleStock, config: Config) -> Callable[[int], Batch]:
    """From the step number to augmented tiles (N, 1, H, W) and truth (N, 3, H, W)."""

    def batch(step: int) -> Batch:
        tiles, truth = stock.batch(step, config.data.batch, config.fit.seed)
        generator = torch.Generator().manual_seed(config.fit.seed * 1_000_033 + step)
        return augmented(tiles, truth, generator, config.data.window_px or None)

    return batch


def validate(stock: SampleStock, method: Method) -> Callable[[nn.Module], Mapping[str, float]]:
    """Dice of each class that the network reports, over all pixels of all held-out tiles."""

    def metrics(module: nn.Module) -> Mapping[str, float]:
        total = torch.zeros(2, len(method.reports), dtype=torch.float64)
        for tiles, truth in stock.in_order(2):
            marked = method.marks(module(tiles.flatten(0, 1)[:, None]))
            actual = _reported(truth.flatten(0, 1), method)
            overlap = (marked & actual).sum((0, 2, 3))
            both = marked.sum((0, 2, 3)) + actual.sum((0, 2, 3))
            total += torch.stack([overlap, both]).double().cpu()
        dice = 2.0 * total[0] / total[1].clamp(min=1.0)
        return {f"dice_{name}": float(dice[index]) for index, name in enumerate(method.reports)}

    return metrics


def _reported(truth: Tensor, method: Method) -> Tensor:
    """Truth bits (N, H, W) to bool (N, classes, H, W) of the classes that the network reports."""
    order = [CLASSES.index(name) for name in method.reports]
    return one_hot(truth)[:, order] > 0.5
