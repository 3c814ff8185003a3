"""The samples of one run, as tensors on the device.

In: folders of real images and the numbers of phantoms. Out: four stocks: real images and phantoms
to train on, both to watch and to choose operating points on; and real images to report on. What
must hold: the sides of the split never share a patient or a picture (`real_samples`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.pool import Pool
from pathlib import Path

import torch
from torch import Tensor

from models.contract import Model
from models.datasets.cases import Case
from models.mask_rcnn.phantom_samples import FIRST_VALIDATION_SEED, SAMPLES
from models.mask_rcnn.real_samples import maker, split_folders
from models.mask_rcnn.settings import DataSettings
from models.training.folds import Fold
from models.training.samples import SampleStock

_FIRST_STEP_SAMPLES = 64  # fewer would be learnt by heart while the others are being made

Batch = tuple[Tensor, Tensor, Tensor]
"""Images uint8 (n, 3, h, w), label maps uint8 (n, h, w), classes uint8 (n, 1 + MOST_MASSES)."""


@dataclass(frozen=True, slots=True)
class Stocks:
    """`real` and what is beside it are None when training on phantoms alone."""

    phantoms: SampleStock | None
    tuning_phantoms: SampleStock | None
    real: SampleStock | None
    tuning: SampleStock | None
    validation: SampleStock | None

    def batch(self, step: int, settings: DataSettings, seed: int) -> Batch:
        """The images of one step: phantoms and real ones in their shares."""
        shares = _shares(settings, self.real is not None, self.phantoms is not None)
        parts = [
            stock.batch(step, count, seed)
            for stock, count in zip((self.phantoms, self.real), shares, strict=True)
            if stock is not None and count
        ]
        images, labels, classes = (torch.cat(columns) for columns in zip(*parts, strict=True))
        return images, labels, classes

    def complete(self) -> None:
        """Return when all samples to train on are made, so that runs can be compared."""
        for stock in (self.phantoms, self.real):
            if stock is not None:
                stock.wait(sys.maxsize)

    def wait(self) -> None:
        """Return when there is enough to begin with."""
        for stock in (self.phantoms, self.real):
            if stock is not None:
                stock.wait(_FIRST_STEP_SAMPLES)


def _shares(settings: DataSettings, real: bool, phantoms: bool) -> tuple[int, int]:
    if not phantoms:
        return 0, settings.batch
    count = round(settings.batch * settings.real_share) if real else 0
    return settings.batch - count, count


def stocks(
    settings: DataSettings,
    model: Model,
    folders: Sequence[Path],
    device: torch.device,
    pool: Pool | None,
    out: Path,
    fold: Fold | None = None,
) -> Stocks:
    """Begin to make every sample; writes `out/split.json`. Raises ValueError without any."""
    if not folders and not settings.phantoms:
        raise ValueError("there is nothing to train on: no folder and no phantoms")
    make, first = SAMPLES[model.spec.name], FIRST_VALIDATION_SEED

    def drawn(count: int, start: int = 0) -> SampleStock | None:
        seeds = range(start, start + count)
        return SampleStock(pool, make, seeds, device) if count else None

    def photographed(cases: Sequence[Case]) -> SampleStock | None:
        made = maker(tuple(cases), model)
        return SampleStock(pool, made, range(len(cases)), device) if cases else None

    sides, names = split_folders(folders, model, fold)
    names.write(out / "split.json")
    real, tuning, validation = sides
    # The sides that are compared come first: they must be complete when they are used.
    return Stocks(
        tuning_phantoms=drawn(settings.tuning_phantoms, first),
        tuning=photographed(tuning),
        real=photographed(real),
        phantoms=drawn(settings.phantoms),
        validation=photographed(validation),
    )
