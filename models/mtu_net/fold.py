"""One method on one fold: train on the other folds' tiles, count pixels on its own.

In: tiles and truth of every background, and which of them train. Out: pixel counts by class. What
must hold: every method sees the same batches in the same order, for as many steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.evaluation.metrics import Counts
from models.mtu_net.augment import Batch, augmented, one_hot
from models.mtu_net.baselines import FOREGROUND, Method
from models.training.loop import FitConfig, fit, seed_everything
from models.training.schedule import Budget

_EVALUATION_TILES = 8
_MC, _BAC = (FOREGROUND.index(name) for name in ("mc", "bac"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """The equal budget of all methods; the learning rate is AdamW's at its highest."""

    steps: int = 400
    batch: int = 12
    window_px: int = 128
    width: int = 8
    learning_rate: float = 1.5e-3
    seed: int = 1
    device: str = "cpu"


@dataclass(slots=True)
class Tally:
    """`counts`: pixels by class. `artery_pixels`: of BAC and not of MC, and how many of those were
    marked as MC; the same after the pixels that are marked as BAC have been taken away.
    """

    counts: dict[str, Counts] = field(default_factory=dict)
    artery_pixels: float = 0.0
    artery_as_mc: float = 0.0
    artery_as_mc_suppressed: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run(
    methods: tuple[Method, ...],
    training: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    recipe: Recipe,
    out: Path,
) -> Tally:
    """Train each network of a method, then read them together.

    `training`, `held_out`: tiles and truth bits uint8 (n, tiles, 256, 256), n by background.
    Unfinished training goes on from its checkpoint in `out`.
    """
    modules = []
    for number, method in enumerate(methods):
        seed_everything(recipe.seed)
        module = method.build(recipe.width).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        config = FitConfig(
            out_dir=out / f"network_{number}",
            budget=Budget(steps=recipe.steps),
            label=f"{out.name}/{number}",
            device=recipe.device,
            seed=recipe.seed,
            learning_rate=recipe.learning_rate,
            decay=0.99,
            resume=True,
            tensorboard=False,
        )
        (out / f"network_{number}").mkdir(parents=True, exist_ok=True)
        modules.append(fit(module, _loss(method), _batches(training, recipe), config).module)
    return _tally(methods, modules, held_out, recipe.device)


def _loss(method: Method) -> Callable[[nn.Module, Batch], Any]:
    def loss(module: nn.Module, batch: Batch) -> Any:
        tiles, truth = batch
        return method.losses(module(tiles), truth)

    return loss


def _batches(data: tuple[Tensor, Tensor], recipe: Recipe) -> Callable[[int], Batch]:
    tiles, truth = (column.to(recipe.device) for column in data)

    def batch(step: int) -> Batch:
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        rows = torch.randint(len(tiles), (recipe.batch,), generator=generator).to(tiles.device)
        return augmented(tiles[rows], truth[rows], generator, recipe.window_px)

    return batch


def _tally(
    methods: tuple[Method, ...],
    modules: list[nn.Module],
    held_out: tuple[Tensor, Tensor],
    device: str,
) -> Tally:
    total = Tally({name: Counts(0, 0, 0, 0) for name in FOREGROUND})
    tiles, truth = (column.flatten(0, 1) for column in held_out)
    for start in range(0, len(tiles), _EVALUATION_TILES):
        part = slice(start, start + _EVALUATION_TILES)
        with torch.inference_mode():
            seen = tiles[part, None].to(device)
            marked = torch.cat(
                [m.marks(net(seen)) for m, net in zip(methods, modules, strict=True)], dim=1
            ).cpu()
        _add(total, marked, one_hot(truth[part])[:, : len(FOREGROUND)] > 0.5)
    return total


def _add(total: Tally, marked: Tensor, actual: Tensor) -> None:
    """Add bool (N, 2, H, W) of marks and truth."""
    for index, name in enumerate(FOREGROUND):
        pair = actual[:, index].numpy(), marked[:, index].numpy()
        total.counts[name] += Counts.of(*pair)
    artery = actual[:, _BAC] & ~actual[:, _MC]
    total.artery_pixels += float(artery.sum())
    total.artery_as_mc += float((artery & marked[:, _MC]).sum())
    total.artery_as_mc_suppressed += float((artery & marked[:, _MC] & ~marked[:, _BAC]).sum())
