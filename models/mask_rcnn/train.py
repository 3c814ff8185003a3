"""Train a Mask R-CNN on real images, phantoms or both.

In: a model, folders of images, a configuration (`settings`). Out: in the output folder, the weights
in half precision (`weights.*.pt`), `training.json` (figures of the sides that were not trained on)
and `split.json` (who was on which side). Samples lie on the device as bytes; what is done to them
at each step is done there. What must hold: figures named `tuning_` may choose weights and operating
points, those named `validation_` are only reported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from models.contract import Model
from models.mask_rcnn.augment import augment
from models.mask_rcnn.losses import losses
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn.resolution import shrink, side_at
from models.mask_rcnn.settings import Config
from models.mask_rcnn.stocks import Batch, Stocks, stocks
from models.mask_rcnn.targets import truth_of
from models.mask_rcnn.validation import validate
from models.training import weights
from models.training.folds import Fold
from models.training.loop import FitResult, begin, fit
from models.training.progress import plain
from models.training.samples import pool_or_none


def run(
    model: Model,
    config: Config,
    data: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
    fold: Fold | None = None,
) -> Mapping[str, float]:
    """Train once, write the weights, return the figures."""
    device = torch.device(config.fit.device_name())
    with pool_or_none(config.data.workers) as pool:
        made = stocks(config.data, model, data, device, pool, out, fold)
        # Batches of a resumed run repeat only if they are drawn from as many samples.
        made.complete() if resume else made.wait()
        result = train(config, made, out, model.spec.name, resume)
        figures = dict(result.metrics)
        if made.validation is not None and result.finished:
            network = _serving(result.module, config)
            held_out = validate(network, made.validation, config.data.batch)
            figures |= {f"validation_{name}": value for name, value in held_out.items()}
    weights.save(result.module, out)
    facts = {"steps": result.steps, "seconds": round(result.elapsed_seconds, 1)} | figures
    (out / "training.json").write_text(json.dumps(plain(facts), indent=1) + "\n")
    return figures


def prepare(model: Model, config: Config, data: Sequence[Path]) -> None:
    """Keep all samples in `data.packs` and train nothing. Raises ValueError without a folder."""
    folder = config.data.packs
    if folder is None:
        raise ValueError("data.packs names no folder to keep the samples in")
    with pool_or_none(config.data.workers) as pool:
        stocks(config.data, model, data, torch.device("cpu"), pool, folder).complete()


def train(config: Config, made: Stocks, out: Path, label: str, resume: bool = False) -> FitResult:
    """Train on stocks that are already there."""
    begin(config.fit)
    network = MaskRCNN(config.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights.start(network, config.initial)
    return fit(
        network,
        partial(_loss, config=config),
        partial(made.batch, settings=config.data, seed=config.fit.seed),
        config.fit.config(out, label, resume),
        validate=partial(_watch, made=made, config=config),
        curriculum=partial(_grow, config=config),
    )


def _grow(module: nn.Module, share: float, config: Config) -> None:
    """Small images first: see `resolution`."""
    if config.stages:
        side = side_at(share, config.stages)
        cast(MaskRCNN, module).resize((side, side))


def _loss(module: nn.Module, batch: Batch, config: Config) -> Mapping[str, Tensor]:
    network, (images, labels, classes) = cast(MaskRCNN, module), batch
    images, labels = shrink(images, labels, network.config.input_px)
    images, labels = augment(images, labels, config.augment)
    images = images.contiguous(memory_format=torch.channels_last)
    return losses(network, images, truth_of(labels, classes), config.loss)


def _watch(network: nn.Module, made: Stocks, config: Config) -> Mapping[str, float]:
    """Metrics at the size that is served, of the sides that may be looked at while training."""
    whole, batch = _serving(network, config), config.data.batch
    figures: dict[str, float] = {}
    for prefix, stock in (("phantom_", made.tuning_phantoms), ("tuning_", made.tuning)):
        if stock is not None:
            found = validate(whole, stock, batch)
            figures |= {f"{prefix}{name}": value for name, value in found.items()}
    return figures


def _serving(network: nn.Module, config: Config) -> MaskRCNN:
    """The same weights in a network of the size that is served."""
    whole = MaskRCNN(config.network).to(next(network.parameters()).device).eval()
    whole.load_state_dict(network.state_dict())
    return whole
