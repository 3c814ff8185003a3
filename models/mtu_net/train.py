"""Train MTU-Net on phantoms: `python -m models.mtu_net.train --minutes 8 --out DIR`.

In: a budget of wall clock. Out: `DIR/weights.*.pt`, `DIR/log.jsonl`. Alghamdi 2024 trains with Adam
at 1e-4 and notes that the shared network bears ten times that; a short budget takes it at its word.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from models.mtu_net.data import BITS, TILES, make_sample
from models.mtu_net.network import MTUNet, objectives
from models.mtu_net.spec import CLASSES
from models.training import weights
from models.training.loop import FitConfig, FitResult, fit, seed_everything
from models.training.samples import SampleStock, sample_pool
from models.training.schedule import Budget
from models.training.windows import cut

VALIDATION_SEED = 5_000_000
LEARNING_RATE = 1.5e-3
FIRST_STEP_SAMPLES = 100  # fewer would be learnt by heart while the others are being made

Batch = tuple[Tensor, Tensor]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    options = _parser().parse_args(arguments)
    train(options)


def train(options: argparse.Namespace) -> FitResult:
    """One run; `options` as `_parser` describes them."""
    seed_everything(options.seed)
    device = torch.device(options.device)
    network = MTUNet()
    with sample_pool(options.workers) as pool:
        held_out = range(VALIDATION_SEED, VALIDATION_SEED + options.validation_images)
        validation = SampleStock(pool, make_sample, held_out, device)
        stock = SampleStock(pool, make_sample, range(options.images), device)
        stock.wait(FIRST_STEP_SAMPLES)
        config = FitConfig(
            out_dir=options.out,
            budget=Budget(minutes=options.minutes, steps=options.steps),
            label="mtu_net",
            device=options.device,
            seed=options.seed,
            learning_rate=LEARNING_RATE,
            resume=options.resume,
        )
        result = fit(network, loss, batches(stock, options), config, validate(validation))
    weights.save(result.module, options.out)
    return result


def loss(module: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """One objective per class."""
    tiles, truth = batch
    return objectives(module(tiles), truth)


def batches(stock: SampleStock, options: argparse.Namespace) -> Callable[[int], Batch]:
    """From the step number to augmented tiles (N, 1, H, W) and truth (N, 3, H, W)."""

    def batch(step: int) -> Batch:
        tiles, truth = stock.batch(step, options.batch, options.seed)
        generator = torch.Generator().manual_seed(options.seed * 1_000_033 + step)
        # One tile of each drawn phantom: a batch of as many different breasts as it has tiles.
        chosen = _chosen(len(tiles), generator).to(tiles.device)
        rows = torch.arange(len(tiles), device=tiles.device)
        grey, marks = tiles[rows, chosen][:, None], truth[rows, chosen]
        if options.window is not None:
            grey, marks = cut(grey, marks, options.window)
        planes = torch.cat([grey, marks[:, None]], dim=1)
        planes = _turned(planes, generator)
        grey = _relit(planes[:, :1].float(), generator)
        return grey, one_hot(planes[:, 1])

    return batch


def _chosen(count: int, generator: torch.Generator) -> Tensor:
    """Tile numbers (count): as many of each kind that `data.make_sample` cuts, in turn.

    A batch without a class only teaches never to predict it (equation 1 has nothing to overlap),
    so the kinds are not left to chance.
    """
    kinds = torch.arange(count) % (TILES // 2)
    return 2 * kinds + torch.randint(2, (count,), generator=generator)


def one_hot(bits: Tensor) -> Tensor:
    """Truth bits uint8 (N, H, W) to float32 (N, 3, H, W) in the order of CLASSES."""
    mc = (bits & BITS["calcification_cluster"]) > 0
    bac = (bits & BITS["arterial_calcification"]) > 0
    planes = {"mc": mc, "bac": bac, "background": ~(mc | bac)}
    return torch.stack([planes[name] for name in CLASSES], dim=1).float()


def validate(stock: SampleStock) -> Callable[[nn.Module], Mapping[str, float]]:
    """Dice of each class over all pixels of all held-out tiles, at probability one half."""

    def metrics(module: nn.Module) -> Mapping[str, float]:
        overlap = total = 0.0
        sums = torch.zeros(2, len(CLASSES), dtype=torch.float64)
        for tiles, truth in stock.in_order(16):
            marked = module(tiles.flatten(0, 1)[:, None]) > 0.0
            actual = one_hot(truth.flatten(0, 1)) > 0.5
            overlap = (marked & actual).sum((0, 2, 3)).double().cpu()
            total = (marked.sum((0, 2, 3)) + actual.sum((0, 2, 3))).double().cpu()
            sums += torch.stack([overlap, total])
        dice = 2.0 * sums[0] / sums[1].clamp(min=1.0)
        return {f"dice_{name}": float(dice[index]) for index, name in enumerate(CLASSES)}

    return metrics


def _turned(planes: Tensor, generator: torch.Generator) -> Tensor:
    """Flip, transpose, and for half of the tiles rotate and scale; grey and truth together."""
    count, device = len(planes), planes.device
    flip_rows, flip_columns, swap, bend = (
        (torch.rand(count, generator=generator) < 0.5).to(device)[:, None, None, None]
        for _ in range(4)
    )
    planes = torch.where(flip_rows, planes.flip(2), planes)
    planes = torch.where(flip_columns, planes.flip(3), planes)
    planes = torch.where(swap, planes.transpose(2, 3), planes)
    angle = (torch.rand(count, generator=generator) - 0.5) * 1.4  # radians, up to 40 degrees
    scale = torch.exp((torch.rand(count, generator=generator) - 0.5) * 0.4)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    zero = torch.zeros_like(cosine)
    theta = torch.stack([cosine, -sine, zero, sine, cosine, zero], dim=1).view(-1, 2, 3)
    grid = affine_grid(theta.to(device), list(planes.shape), align_corners=False)
    grey = grid_sample(planes[:, :1].float(), grid, align_corners=False)
    truth = grid_sample(planes[:, 1:].float(), grid, mode="nearest", align_corners=False)
    bent = torch.cat([grey, truth], dim=1).to(planes.dtype)
    return torch.where(bend, bent, planes)


def _relit(grey: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma, gain and noise, as processing differs between vendors; (N, 1, H, W) in [0, 255]."""
    shape = (len(grey), 1, 1, 1)
    gamma, gain, grain = (torch.rand(shape, generator=generator).to(grey.device) for _ in range(3))
    relit = (grey / 255.0) ** torch.exp((gamma - 0.5) * 0.9) * (0.8 + 0.4 * gain)
    noise = torch.randn_like(relit) * 0.02 * grain
    return (torch.where(grey > 0, relit + noise, relit) * 255.0).clamp(0.0, 255.0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--validation-images", type=int, default=120)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--window", type=int, help="train on windows of this side, in pixels")
    return parser


if __name__ == "__main__":
    main()
