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

from models.mtu_net import samples, warm_start
from models.mtu_net.augment import Batch, augmented, one_hot
from models.mtu_net.baselines import METHODS, Method
from models.mtu_net.insertion_samples import backgrounds, maker
from models.mtu_net.network import WIDTH, MTUNet
from models.mtu_net.spec import CLASSES
from models.training import weights
from models.training.folds import Fold
from models.training.loop import FitSettings, fit, seed_everything
from models.training.samples import SampleStock, sample_pool

VALIDATION_SEED = 5_000_000
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
    """`train.toml`. `window_px` 0 trains on whole tiles. `start_from`: an exported model.onnx,
    whose answers are weakened by `start_logits` (see `warm_start`).

    `samples`, `validation_samples`: files of `models.mtu_net.samples`, used instead of drawing.
    """

    network: Literal["mtu_net", "multi_class", "single_class_mc", "single_class_bac"] = "mtu_net"
    width: int = WIDTH
    images: int = 700
    validation_images: int = 40
    batch: int = 12
    window_px: int = 128
    workers: int = 4
    start_from: str = ""
    start_logits: float = 0.4
    samples: str = ""
    validation_samples: str = ""
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
    seed_everything(config.fit.seed)
    if config.fit.threads:
        torch.set_num_threads(config.fit.threads)
    method = NETWORKS[config.network]
    # Channels last: a third faster on processors, and what tensor cores want.
    network = method.build(config.width).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with ExitStack() as stack:
        stock, validation = _stocks(config, data, fold, stack)
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


def _stocks(
    config: Config, data: Sequence[Path], fold: Fold | None, stack: ExitStack
) -> tuple[SampleStock, SampleStock]:
    """What trains and what validates, from files or drawn while training goes on."""
    device = torch.device(config.fit.device_name())
    if config.samples and config.validation_samples:
        paths = Path(config.samples), Path(config.validation_samples)
        return samples.load(paths[0], device), samples.load(paths[1], device)
    training, held_out = backgrounds(data, fold)
    pool = stack.enter_context(sample_pool(config.workers))
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + config.validation_images)
    validation = SampleStock(pool, maker(held_out), seeds, device)
    stock = SampleStock(pool, maker(training), range(config.images), device)
    stock.wait(FIRST_STEP_SAMPLES)
    return stock, validation


def _start(network: nn.Module, config: Config, stock: SampleStock) -> None:
    """Begin with the weights of an export, where the configuration names one."""
    if config.start_from:
        if not isinstance(network, MTUNet):
            raise ValueError("only mtu_net can start from an export")
        tiles, _ = stock.batch(0, START_SAMPLES, config.fit.seed)
        tiles = tiles.flatten(0, 1)[:, None].cpu()
        warm_start.load(network, Path(config.start_from), tiles, config.start_logits)


def batches(stock: SampleStock, config: Config) -> Callable[[int], Batch]:
    """From the step number to augmented tiles (N, 1, H, W) and truth (N, 3, H, W)."""

    def batch(step: int) -> Batch:
        tiles, truth = stock.batch(step, config.batch, config.fit.seed)
        generator = torch.Generator().manual_seed(config.fit.seed * 1_000_033 + step)
        return augmented(tiles, truth, generator, config.window_px or None)

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
