"""The samples of one run, as tensors on the device.

In: folders of real images and the numbers of phantoms. Out: four stocks: real images and phantoms
to train on, both to watch and to choose operating points on; and real images to report on. What
must hold: the sides of the split never share a patient or a picture (`real_samples`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.pool import Pool
from pathlib import Path

import torch
from torch import Tensor

from models.contract import Model
from models.datasets.cases import Case
from models.mask_rcnn.phantom_samples import FIRST_VALIDATION_SEED, SAMPLES
from models.mask_rcnn.real_samples import Sides, maker, split_folders
from models.mask_rcnn.settings import DataSettings
from models.training.folds import Fold
from models.training.samples import MakeSample, Packed, SampleStock

SPLIT = "split.json"
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
        """Return when all samples are made and kept: runs on them can be compared."""
        each = (self.phantoms, self.tuning_phantoms, self.real, self.tuning, self.validation)
        for stock in each:
            if stock is not None:
                stock.complete()

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
    """Begin to make every sample; writes `out/split.json`. Raises ValueError without any.

    Without folders, packs that are there are taken as they are, with the split beside them.
    """
    kept = _carried(settings) if not folders else None
    sides, names = split_folders(folders, model, fold) if kept is None else (([], [], []), kept)
    if not names.training and not settings.phantoms:
        raise ValueError("there is nothing to train on: no folder, no packs and no phantoms")
    names.write(out / SPLIT)
    if settings.packs is not None and kept is None:
        names.write(settings.packs / SPLIT)
    stock = _Maker(settings, model, device, pool, carried=kept is not None)
    # The sides that are compared come first: they must be complete when they are used.
    return Stocks(
        tuning_phantoms=stock.drawn(
            "tuning_phantoms", settings.tuning_phantoms, FIRST_VALIDATION_SEED
        ),
        tuning=stock.real("tuning", sides[1], names.tuning),
        real=stock.real("training", sides[0], names.training),
        phantoms=stock.drawn("phantoms", settings.phantoms),
        validation=stock.real("validation", sides[2], names.validation),
    )


@dataclass(frozen=True, slots=True)
class _Maker:
    """Stocks of one run. `carried`: packs are there, and what they were made from is not."""

    settings: DataSettings
    model: Model
    device: torch.device
    pool: Pool | None
    carried: bool

    def drawn(self, part: str, count: int, first: int = 0) -> SampleStock | None:
        """Phantoms of `count` seeds from `first` on."""
        seeds = range(first, first + count)
        return self._stock(part, SAMPLES[self.model.spec.name], seeds, ()) if count else None

    def real(self, part: str, cases: Sequence[Case], names: Sequence[str]) -> SampleStock | None:
        """Images of patients, in the order of their names."""
        make = maker(tuple(cases), self.model)
        return self._stock(part, make, range(len(names)), names) if names else None

    def _stock(
        self, part: str, make: MakeSample, seeds: range, names: Sequence[str]
    ) -> SampleStock:
        packed = None
        if self.settings.packs is not None:
            key = None if self.carried else _key(self.model, seeds, names)
            packed = Packed(self.settings.packs / f"{part}.npz", key)
        return SampleStock(self.pool, make, seeds, self.device, packed)


def _carried(settings: DataSettings) -> Sides | None:
    """The split that packs were made with, where there are packs."""
    if settings.packs is None or not (settings.packs / SPLIT).is_file():
        return None
    return Sides.read(settings.packs / SPLIT)


def _key(model: Model, seeds: range, names: Sequence[str]) -> str:
    """Digest of what makes a stock's samples: preprocessing, seeds, cases."""
    facts = [model.spec.preprocessing_digest(), [seeds.start, seeds.stop], list(names)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
