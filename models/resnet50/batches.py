"""From the step number to a batch: drawn, changed, and with some of its facts taken away.

In: training stocks (`samples`) and the configuration. Out: a `Batch` on the device. What must hold:
a batch depends on nothing but the step and the seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.resnet50.augment import augment
from models.resnet50.drawn_lesions import draw
from models.resnet50.samples import NO_CLASS
from models.resnet50.settings import Config, Data
from models.resnet50.spec import CLINICAL
from models.training.samples import SampleStock

PHANTOM = "phantom"

# Facts that are known or unknown together.
FACTS = (
    tuple(CLINICAL.index(name) for name in ("age_known", "age")),
    tuple(CLINICAL.index(name) for name in ("cc", "mlo")),
    tuple(index for index, name in enumerate(CLINICAL) if name.startswith("density")),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """`images` float32 (N, 2, H, W) in [0, 255], `clinical` float32 (N, 8), `labels` int64 (N),
    `lesions` uint8 (N, H, W) as in `samples`."""

    images: Tensor
    clinical: Tensor
    labels: Tensor
    lesions: Tensor


def batches(step: int, stocks: Mapping[str, SampleStock], config: Config) -> Batch:
    """The batch of one step."""
    generator = torch.Generator().manual_seed(config.fit.seed * 1_000_033 + step)
    shares = counts({name: len(stock) for name, stock in stocks.items()}, config.data)
    drawn = [stocks[name].batch(step, size, config.fit.seed) for name, size in shares.items()]
    images, clinical, labels, lesions = (torch.cat(rows) for rows in zip(*drawn, strict=True))
    images, labels = images.float(), labels[:, 0]
    images, labels, lesions = _with_lesions(
        images, labels, lesions, config.data.drawn_share, generator
    )
    images, lesions = augment(images, lesions, config.augment, generator)
    clinical = some_missing(clinical, config.data, generator)
    images = images.contiguous(memory_format=torch.channels_last)
    return Batch(images, clinical, labels, lesions)


def counts(sizes: Mapping[str, int], settings: Data) -> dict[str, int]:
    """Images of each stock in a batch: phantoms their share, folders by the root of their sizes."""
    roots = {name: math.sqrt(size) for name, size in sizes.items() if name != PHANTOM}
    phantoms = 0
    if PHANTOM in sizes:
        phantoms = round(settings.batch * settings.phantom_share) if roots else settings.batch
    left, total = settings.batch - phantoms, sum(roots.values())
    found = {name: max(1, round(left * root / total)) for name, root in roots.items()}
    return found | ({PHANTOM: phantoms} if phantoms else {})


def some_missing(clinical: Tensor, settings: Data, generator: torch.Generator) -> Tensor:
    """Facts (N, 8) with whole rows, and single facts of the others, set to unknown (zero)."""
    count = len(clinical)
    kept = torch.rand(count, 1, generator=generator) >= settings.clinical_missing
    mask = kept.repeat(1, clinical.shape[1])
    for columns in FACTS:
        known = torch.rand(count, 1, generator=generator) >= settings.fact_missing
        mask[:, list(columns)] &= known
    return clinical * mask.to(clinical)


def _with_lesions(
    images: Tensor, labels: Tensor, lesions: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a lesion into a `share` of the images that have none; these lose their class."""
    free = (lesions.flatten(1).amax(dim=1) == 0).cpu()
    chosen = (free & (torch.rand(len(free), generator=generator) < share)).nonzero()[:, 0]
    if not len(chosen):
        return images, labels, lesions
    chosen = chosen.to(images.device)
    drawn, marks = draw(images[chosen], lesions[chosen], generator)
    return (
        images.index_copy(0, chosen, drawn),
        labels.index_fill(0, chosen, NO_CLASS),
        lesions.index_copy(0, chosen, marks),
    )
