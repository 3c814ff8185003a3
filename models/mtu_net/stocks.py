"""The samples of one run: drawn while it trains, or taken from packs that were drawn before.

In: settings and folders of real mammograms. Out: what trains and what validates. What must hold:
packs carry the digest of what made them; a machine that has packs and no folders takes them as
they are, which is how training goes on where the images may not be copied to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from models.datasets.cases import Case
from models.mtu_net.insertion_samples import COARSE_SHARE, PHANTOM_SHARE, backgrounds, maker
from models.mtu_net.spec import SPEC
from models.training.folds import Fold
from models.training.samples import Packed, SampleStock, pool_or_none
from models.training.settings import refuse_empty_batches

VALIDATION_SEED = 5_000_000
RECIPE = 2  # raise it when insertion changes: packs of another recipe are refused


@dataclass(frozen=True, slots=True)
class DataSettings:
    """The `[data]` table. `window_px` 0 trains on whole tiles; `workers` 0 draws in this process.

    `images`, `validation_images`: samples of six tiles each. `packs`: a folder to keep them in.
    """

    images: int = 700
    validation_images: int = 40
    batch: int = 12
    window_px: int = 128
    workers: int = 4
    packs: Path | None = None

    def __post_init__(self) -> None:
        refuse_empty_batches(self.batch)


def stocks(
    settings: DataSettings,
    folders: Sequence[Path],
    fold: Fold | None,
    device: torch.device,
    stack: ExitStack,
) -> tuple[SampleStock, SampleStock]:
    """Training and validation. Raises StalePackError."""
    sides = backgrounds(folders, fold)
    pool = stack.enter_context(pool_or_none(settings.workers))
    first = VALIDATION_SEED
    # Those that validate come first: they are few, and the run needs them complete.
    wanted = (
        ("validation", sides[1], range(first, first + settings.validation_images)),
        ("training", sides[0], range(settings.images)),
    )
    made = {
        name: SampleStock(pool, maker(cases), seeds, device, _packed(settings, name, cases, seeds))
        for name, cases, seeds in wanted
    }
    return made["training"], made["validation"]


def _packed(
    settings: DataSettings, name: str, cases: Sequence[Case], seeds: range
) -> Packed | None:
    if settings.packs is None:
        return None
    facts = [RECIPE, SPEC.preprocessing_digest(), PHANTOM_SHARE, COARSE_SHARE]
    made_of = [facts, sorted(case.name for case in cases), seeds.start, seeds.stop]
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    path = settings.packs / f"{name}.npz"
    return Packed(path, digest if cases or not path.is_file() else None)
