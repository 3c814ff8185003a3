"""Train a Mask R-CNN on phantoms within a wall-clock budget.

    python -m models.mask_rcnn --model mask_rcnn_mg --minutes 8 --images 3000 --workers 16 --out DIR

In: seeds, and with `--real DIR` a folder of outlined images beside them. Out: in `--out`, the
averaged weights in half precision (`weights.*.pt`), `training.json` (the configuration and the last
validation) and `log.jsonl`. Phantoms are made while training runs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from models.mask_rcnn.augment import AugmentConfig, augment
from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.losses import LossConfig, losses
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn.phantom_samples import FIRST_VALIDATION_SEED, SAMPLES
from models.mask_rcnn.real_samples import maker, split_folders
from models.mask_rcnn.resolution import Stages, shrink, side_at
from models.mask_rcnn.targets import Truth, truth_of
from models.mask_rcnn.validation import validate
from models.mask_rcnn_mg.spec import CONFIG as MAMMOGRAPHY
from models.mask_rcnn_us.spec import CONFIG as ULTRASOUND
from models.registry import get_model
from models.training import weights
from models.training.loop import FitConfig, FitResult, fit, seed_everything
from models.training.samples import SampleStock, sample_pool
from models.training.schedule import Budget
from models.training.windows import cut

CONFIGS: dict[str, NetworkConfig] = {"mask_rcnn_mg": MAMMOGRAPHY, "mask_rcnn_us": ULTRASOUND}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What differs between the models: images per step, augmentation, sampling of boxes, sizes."""

    batch: int
    stages: Stages = ()
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)


RECIPES = {
    "mask_rcnn_mg": Recipe(16),
    "mask_rcnn_us": Recipe(
        8,
        ((0.0, 128), (0.4, 192), (0.7, 256)),
        AugmentConfig(
            scale=1.35,
            stretch=1.25,
            shift=0.08,
            bend=0.02,
            gamma=0.35,
            gain=0.25,
            speckle=0.12,
            marks=0.3,
        ),
        LossConfig(positives=6, sampled=32),
    ),
}
_FIRST_STEP_SAMPLES = 64  # fewer would be learnt by heart while the others are being made


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One run. `images` is how many phantoms are made; `batch` None takes the model's own.

    `real_share`: share of each batch that comes from `real`, where that is given. `window`: train
    on windows of this side in pixels; `threads`: processor threads of torch.
    """

    model: str
    out: Path
    minutes: float | None = None
    steps: int | None = None
    images: int = 3000
    validation_images: int = 120
    workers: int = 2
    device: str = "cuda"
    batch: int | None = None
    seed: int = 1
    learning_rate: float = 1e-3
    renyi: float = 0.0
    real: tuple[Path, ...] = ()
    real_share: float = 0.5
    resume: bool = False
    window: int | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """Stocks on the device. `real` and `real_held_out` are None when training on phantoms alone."""

    phantoms: SampleStock
    held_out: SampleStock
    real: SampleStock | None = None
    real_held_out: SampleStock | None = None


def train(config: TrainConfig) -> FitResult:
    """Train, validate and write the weights. Returns the averaged network and its metrics."""
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    seed_everything(config.seed)
    device = torch.device(config.device)
    batch = config.batch or RECIPES[config.model].batch
    network = MaskRCNN(_network_config(config)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with sample_pool(config.workers) as pool:
        data = _data(config, pool, device)
        data.phantoms.wait(_FIRST_STEP_SAMPLES)
        result = fit(
            network,
            partial(_loss, config=replace(RECIPES[config.model].loss, renyi=config.renyi)),
            partial(_batch, data=data, size=batch, config=config, spent=_spent(config)),
            _fit_config(config),
            validate=partial(_validate, data=data, size=batch, serving=CONFIGS[config.model]),
        )
        made = len(data.phantoms)
    _write(config, result, made)
    return result


def _data(config: TrainConfig, pool: Pool, device: torch.device) -> Data:
    """Start to make every sample; validation first, because it must be complete when it is used."""
    make, first = SAMPLES[config.model], FIRST_VALIDATION_SEED
    held_out = SampleStock(pool, make, range(first, first + config.validation_images), device)
    if not config.real:
        return Data(SampleStock(pool, make, range(config.images), device), held_out)
    model = get_model(config.model)
    (training, tuning, _), sides = split_folders(config.real, model)
    sides.write(config.out / "split.json")
    real_held_out = SampleStock(pool, maker(tuning, model), range(len(tuning)), device)
    real = SampleStock(pool, maker(training, model), range(len(training)), device)
    phantoms = SampleStock(pool, make, range(config.images), device)
    return Data(phantoms, held_out, real, real_held_out)


def _spent(config: TrainConfig) -> Callable[[int], float]:
    """From a step number to the share of the budget that is spent, from now on."""
    budget, started = Budget(steps=config.steps, minutes=config.minutes), time.monotonic()
    return lambda step: budget.progress(step, time.monotonic() - started)


def _fit_config(config: TrainConfig) -> FitConfig:
    return FitConfig(
        out_dir=config.out,
        budget=Budget(steps=config.steps, minutes=config.minutes),
        label=config.model,
        device=config.device,
        seed=config.seed,
        learning_rate=config.learning_rate,
        resume=config.resume,
    )


def _network_config(config: TrainConfig) -> NetworkConfig:
    """The network as it is trained: the served one, or the same on windows."""
    served = CONFIGS[config.model]
    if config.window is None:
        return served
    return replace(served, input_px=(config.window, config.window))


def _batch(
    step: int, data: Data, size: int, config: TrainConfig, spent: Callable[[int], float]
) -> tuple[Tensor, Truth]:
    """Phantoms, and real images where there are any; cut to windows if asked, augmented."""
    if data.real is None:
        images, labels, classes = data.phantoms.batch(step, size, config.seed)
    else:
        count = round(size * config.real_share)
        parts = (
            data.phantoms.batch(step, size - count, config.seed),
            data.real.batch(step, count, config.seed),
        )
        images, labels, classes = (torch.cat(columns) for columns in zip(*parts, strict=True))
    if config.window is not None:
        images, labels = cut(images, labels, config.window)
    recipe = RECIPES[config.model]
    if recipe.stages:
        images, labels = shrink(images, labels, side_at(spent(step), recipe.stages))
    images, labels = augment(images, labels, recipe.augment)
    return images.contiguous(memory_format=torch.channels_last), truth_of(labels, classes)


def _loss(
    module: nn.Module, batch: tuple[Tensor, Truth], config: LossConfig
) -> Mapping[str, Tensor]:
    network, (images, truth) = cast(MaskRCNN, module), batch
    network.resize((int(images.shape[2]), int(images.shape[3])))
    return losses(network, images, truth, config)


def _validate(
    network: nn.Module, data: Data, size: int, serving: NetworkConfig
) -> Mapping[str, float]:
    """Metrics on whole images, as they will be served."""
    whole = MaskRCNN(serving).to(next(network.parameters()).device).eval()
    whole.load_state_dict(network.state_dict())
    metrics = dict(validate(whole, data.held_out, size))
    if data.real_held_out is not None:
        real = validate(whole, data.real_held_out, size)
        metrics |= {f"real_{name}": value for name, value in real.items()}
    return metrics


def _write(config: TrainConfig, result: FitResult, made: int) -> None:
    weights.save(result.module, config.out)
    facts = {
        "config": asdict(config)
        | {"out": config.out.name, "real": [folder.name for folder in config.real]},
        "steps": result.steps,
        "seconds": round(result.elapsed_seconds, 1),
        "phantoms_made": made,
        "metrics": dict(result.metrics),
    }
    (config.out / "training.json").write_text(json.dumps(facts, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m models.mask_rcnn", description=__doc__)
    parser.add_argument("--model", choices=sorted(CONFIGS), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--validation-images", type=int, default=120)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--real", type=Path, nargs="+", default=())
    parser.add_argument("--real-share", type=float, default=0.5)
    parser.add_argument("--renyi", type=float, default=0.0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--window", type=int, help="train on windows of this side, in pixels")
    parser.add_argument("--threads", type=int, help="processor threads of torch")
    options = vars(parser.parse_args(arguments))
    train(TrainConfig(**options | {"real": tuple(options["real"])}))
