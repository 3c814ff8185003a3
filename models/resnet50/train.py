"""Train the classifier on phantoms: `python -m models.resnet50.train --minutes 8 --out DIR`.

In: a budget of wall clock, and with `--real FOLDER` (may be repeated) labelled mammograms, which
then make up half of each batch. Out: `DIR/weights.*.pt`, `DIR/log.jsonl`. Ben Miled and Cherif 2025
tune a network pretrained on photographs; no pretrained weights are at hand, so this one starts at
random and is shown many more images.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.pool import Pool
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from models.evaluation.metrics import auc
from models.resnet50 import real_samples
from models.resnet50.data import make_sample
from models.resnet50.network import ResNet50
from models.resnet50.spec import CLASSES
from models.training import weights
from models.training.loop import FitConfig, FitResult, fit, seed_everything
from models.training.samples import SampleStock, sample_pool
from models.training.schedule import Budget

VALIDATION_SEED = 5_000_000
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05  # 23 million weights, a few thousand images
LABEL_SMOOTHING = 0.05
FIRST_STEP_SAMPLES = 200  # fewer would be learnt by heart while the others are being made

Batch = tuple[Tensor, Tensor]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    options = _parser().parse_args(arguments)
    train(options)


def train(options: argparse.Namespace) -> FitResult:
    """One run; `options` as `_parser` describes them."""
    seed_everything(options.seed)
    device = torch.device(options.device)
    # Convolutions in half precision run on tensor cores in this order of axes.
    network = ResNet50().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with sample_pool(options.workers) as pool:
        stocks, validations = _stocks(options, pool, device)
        for stock in stocks:
            stock.wait(FIRST_STEP_SAMPLES)
        config = FitConfig(
            out_dir=options.out,
            budget=Budget(minutes=options.minutes, steps=options.steps),
            label="resnet50",
            device=options.device,
            seed=options.seed,
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            resume=options.resume,
        )
        result = fit(network, loss, batches(stocks, options), config, validate(validations))
    weights.save(result.module, options.out)
    return result


def _stocks(
    options: argparse.Namespace, pool: Pool, device: torch.device
) -> tuple[list[SampleStock], dict[str, SampleStock]]:
    """Training stocks, phantoms first, and validation stocks by the prefix of their figures."""
    held_out = range(VALIDATION_SEED, VALIDATION_SEED + options.validation_images)
    validations = {"": SampleStock(pool, make_sample, held_out, device)}
    stocks = []
    if options.real:
        cases = real_samples.usable(options.real)
        training, validation = real_samples.split(cases)
        make = real_samples.maker(cases)
        validations["real_"] = SampleStock(pool, make, validation, device)
        stocks.append(SampleStock(pool, make, training, device))
    return [SampleStock(pool, make_sample, range(options.images), device), *stocks], validations


def loss(module: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """Cross entropy with smoothed labels."""
    images, labels = batch
    logits = module(images.contiguous(memory_format=torch.channels_last))
    return {"class": cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)}


def batches(stocks: Sequence[SampleStock], options: argparse.Namespace) -> Callable[[int], Batch]:
    """From the step number to augmented images (N, 2, H, W) and class indices (N,).

    Every stock gives the same share of a batch.
    """

    def batch(step: int) -> Batch:
        size = max(1, options.batch // len(stocks))
        drawn = [stock.batch(step, size, options.seed) for stock in stocks]
        images, labels = (torch.cat(columns) for columns in zip(*drawn, strict=True))
        generator = torch.Generator().manual_seed(options.seed * 1_000_033 + step)
        return _relit(_moved(images.float(), generator), generator), labels[:, 0]

    return batch


def validate(stocks: Mapping[str, SampleStock]) -> Callable[[nn.Module], Mapping[str, float]]:
    """The figures of each stock under its prefix."""

    def metrics(module: nn.Module) -> Mapping[str, float]:
        return {
            prefix + name: value
            for prefix, stock in stocks.items()
            for name, value in _figures(module, stock).items()
        }

    return metrics


def _figures(module: nn.Module, stock: SampleStock) -> dict[str, float]:
    """Accuracy, and areas under the ROC curve of malignant and of abnormal against the rest."""
    rows, labels = [], []
    for images, truth in stock.in_order(32):
        rows.append(torch.softmax(module(images).float(), dim=1).cpu())
        labels.append(truth[:, 0].cpu())
    probabilities, actual = torch.cat(rows).double().numpy(), torch.cat(labels).numpy()
    normal, malignant = CLASSES.index("normal"), CLASSES.index("malignant")
    return {
        "accuracy": float((probabilities.argmax(axis=1) == actual).mean()),
        "auc_malignant": auc(actual == malignant, probabilities[:, malignant]),
        "auc_abnormal": auc(actual != normal, 1.0 - probabilities[:, normal]),
    }


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate by up to 12 degrees, scale by up to a tenth, shift a little; (N, 2, H, W)."""
    count, (height, width) = len(images), images.shape[2:]
    angle, scale, down, right = (torch.rand(count, generator=generator) - 0.5 for _ in range(4))
    cosine, sine = torch.cos(0.42 * angle), torch.sin(0.42 * angle)
    factor = torch.exp(0.2 * scale)
    aspect = height / width
    theta = torch.stack(
        [
            *(factor * cosine, -factor * sine * aspect, 0.06 * right),
            *(factor * sine / aspect, factor * cosine, 0.06 * down),
        ],
        dim=1,
    ).view(-1, 2, 3)
    grid = affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    moved: Tensor = grid_sample(images, grid, align_corners=False)
    return moved


def _relit(images: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma and gain of the grey levels, gain of the detail, and noise; values in [0, 255]."""
    shape = (len(images), 1, 1, 1)
    gamma, gain, sharp = (torch.rand(shape, generator=generator).to(images.device) for _ in "ggs")
    grey = (images[:, :1] / 255.0) ** torch.exp((gamma - 0.5) * 0.9) * (0.8 + 0.4 * gain)
    detail = images[:, 1:] / 255.0 * (0.6 + 0.8 * sharp)
    relit = torch.cat([grey, detail], dim=1)
    noise = 0.01 * torch.randn_like(relit)
    return (torch.where(relit > 0, relit + noise, relit) * 255.0).clamp(0.0, 255.0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--real", type=Path, action="append", default=[])
    parser.add_argument("--validation-images", type=int, default=250)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    return parser


if __name__ == "__main__":
    main()
