"""Train on public mammograms, on masses inserted into their normals, and on phantoms.

In: folders as `models.datasets` reads them; of each, only the training side of the project's own
split is used, or what a fold leaves. Out: the averaged weights (`weights.*.pt`) and the figures on
the outlined cases of the other side. `sentinode models train mask_rcnn_mg` calls `run`.
What must hold: no image of a held-out patient becomes a sample, not even as a background.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from models.contract import FindingKind
from models.datasets.cases import Case
from models.datasets.folders import read_folder, tell_unused
from models.datasets.splits import Split, hold_out, k_folds
from models.datasets.tables import DataSetError
from models.mask_rcnn.augment import AugmentConfig, augment
from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.losses import LossConfig, losses
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn.norms import settle
from models.mask_rcnn.targets import Truth, truth_of
from models.mask_rcnn_mg import shelf
from models.mask_rcnn_mg.samples import Shares, sample, sources
from models.mask_rcnn_mg.spec import CONFIG, SPEC
from models.mask_rcnn_mg.validation import figures, predict
from models.restore import restore
from models.training import weights
from models.training.folds import Fold
from models.training.loop import FitSettings, begin, fit
from models.training.progress import plain
from models.training.samples import SampleStock, pool_or_none
from models.training.settings import refuse_empty_batches

_FIRST_STEP_SAMPLES = 64  # fewer would be learnt by heart while the others are being made
SHELF = "shelf.npz"
_SEEDS_PER_RUN = 100_000  # seeds of samples stay below those of validation and acceptance


@dataclass(frozen=True, slots=True)
class DataSettings:
    """The `[data]` table. `packs`: a folder for the shelf of a machine without the images.

    `patches`: see `samples.Sources`; they are square.
    """

    samples: int = 2500
    batch: int = 8
    workers: int = 1
    window_px: tuple[int, int] = (320, 256)
    patches: bool = False
    packs: Path | None = None
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        refuse_empty_batches(self.batch)
        if self.patches and self.window_px[0] != self.window_px[1]:
            raise ValueError(f"patches are square, and window_px is {list(self.window_px)}")


@dataclass(frozen=True, slots=True)
class Config:
    """One run; `train.toml` explains each setting.

    `network` of `train.toml` is the one that is served (a test compares them); with another one the
    changes of paper 004 can be tried on mammograms, and the weights cannot be exported.
    """

    network: NetworkConfig = CONFIG
    data: DataSettings = field(default_factory=DataSettings)
    grey_only: bool = False
    initial: Path | None = None
    inner_folds: int = 0
    inner_fold: int = 0
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fit: FitSettings = field(default_factory=FitSettings)


def run(
    config: Config,
    data: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
    fold: Fold | None = None,
) -> Mapping[str, float]:
    """Train, write `out/weights.*.pt`, and return the figures on the side left out."""
    device = begin(config.fit)
    training, validation = sides(config, data, fold)
    validation = [case for case in validation if case.truth.knows(FindingKind.MASS)]
    settings = config.data
    given = sources(training, settings.shares, settings.window_px, settings.patches)
    first = config.fit.seed * _SEEDS_PER_RUN
    with pool_or_none(config.data.workers) as pool:
        seeds = range(first, first + config.data.samples)
        stock = SampleStock(pool, partial(sample, given=given), seeds, device)
        # Batches of a resumed run repeat only if they are drawn from as many samples.
        stock.complete() if resume else stock.wait(_FIRST_STEP_SAMPLES)
        result = fit(
            network(config),
            partial(_loss, config=config.loss),
            partial(_batch, stock=stock, config=config),
            config.fit.config(out, SPEC.name, resume),
            partial(_validate, cases=validation, grey_only=config.grey_only),
        )
    weights.save(result.module, out)
    facts = {"outlined": len(given.outlined), "normal": sum(map(len, given.backgrounds))}
    facts |= {"steps": result.steps, "seconds": round(result.elapsed_seconds)}
    facts = plain(facts | dict(result.metrics))
    (out / "training.json").write_text(json.dumps(facts, indent=1) + "\n")
    return result.metrics


def prepare(config: Config, data: Sequence[Path]) -> None:
    """Put the training side on a shelf and train nothing. Raises ValueError without a folder."""
    if config.data.packs is None:
        raise ValueError("data.packs names no folder to keep the images in")
    training, _ = sides(config, data, None)
    used = [
        [c for c in cases if c.truth.label == "normal" or c.truth.lesions] for cases in training
    ]
    shelf.write(config.data.packs / SHELF, used)


def sides(
    config: Config, data: Sequence[Path], fold: Fold | None
) -> tuple[list[list[Case]], list[Case]]:
    """Cases to train on, folder by folder, and those of the other side, which no shelf has."""
    if not data and config.data.packs is not None:
        return shelf.read(config.data.packs / SHELF), []
    training: list[list[Case]] = []
    validation: list[Case] = []
    for folder in data:
        cases = read_folder(folder)
        of_use = sum(map(_is_of_use, cases))
        if not of_use:
            raise DataSetError(
                f"{folder} holds no mammogram that is normal or has an outlined mass: nothing to "
                f"train {SPEC.name} on"
            )
        reason = "neither normal nor with an outlined mass"
        tell_unused(folder, len(cases) - of_use, reason)
        chosen = split(cases, config, fold)
        training.append([cases[index] for index in chosen.training])
        validation += [cases[index] for index in chosen.validation]
    return training, validation


def _is_of_use(case: Case) -> bool:
    """A background, or a mass with its outline."""
    masses = any(lesion.kind is FindingKind.MASS for lesion in case.truth.lesions or ())
    return case.modality == SPEC.modality and (case.truth.label == "normal" or masses)


def split(cases: Sequence[Case], config: Config, fold: Fold | None = None) -> Split:
    """The project's split or the given fold; with `inner_folds`, a fold of its training side."""
    outer = hold_out(cases) if fold is None else k_folds(cases, fold.count)[fold.number]
    if not config.inner_folds:
        return outer
    own = [cases[index] for index in outer.training]
    inner = k_folds(own, config.inner_folds)[config.inner_fold]
    return Split(
        [outer.training[index] for index in inner.training],
        [outer.training[index] for index in inner.validation],
    )


def network(config: Config) -> MaskRCNN:
    """The network on the windows of training, from `config.initial` where that is given.

    From a served file the statistics of normalisation are settled, and stay so.
    """
    made = MaskRCNN(replace(config.network, input_px=config.data.window_px))
    if config.initial is not None and config.initial.suffix == ".onnx":
        restore(made, config.initial, [torch.zeros(1, 3, *config.data.window_px)])
        settle(made)
    else:
        weights.start(made, config.initial)
    return cast(MaskRCNN, made.to(memory_format=torch.channels_last))  # type: ignore[call-overload]


def _batch(step: int, stock: SampleStock, config: Config) -> tuple[Tensor, Truth]:
    images, labels, classes = stock.batch(step, config.data.batch, config.fit.seed)
    if config.grey_only:
        images = images[:, :1].expand(-1, 3, -1, -1)
    images, labels = augment(images, labels, config.augment)
    return images.contiguous(memory_format=torch.channels_last), truth_of(labels, classes)


def _loss(
    module: nn.Module, batch: tuple[Tensor, Truth], config: LossConfig
) -> Mapping[str, Tensor]:
    return losses(cast(MaskRCNN, module), *batch, config)


def _validate(module: nn.Module, cases: Sequence[Case], grey_only: bool) -> Mapping[str, float]:
    """Figures on whole images; none where no case has known lesions."""
    return figures(predict(cast(MaskRCNN, module), cases, grey_only)) if cases else {}
