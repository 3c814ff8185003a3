"""What a training run of a Mask R-CNN is told: the shape of `models/<name>/train.toml`.

In: nothing; these are values. What must hold: `network` of a model's own `train.toml` is the one
that its spec serves (a test compares them); another network is for experiments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from models.mask_rcnn.augment import AugmentConfig
from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.losses import LossConfig
from models.mask_rcnn.resolution import Stages
from models.training.settings import FitSettings, refuse_empty_batches


@dataclass(frozen=True, slots=True)
class DataSettings:
    """`phantoms` to train on and `tuning_phantoms` to watch, made by `workers` processes.

    `batch`: images per step, `real_share` of which are patients' where folders are given. `packs`:
    a folder where prepared samples are kept; with them, a machine without the images can train.
    """

    batch: int = 8
    phantoms: int = 400
    tuning_phantoms: int = 24
    real_share: float = 0.85
    workers: int = 1
    packs: Path | None = None

    def __post_init__(self) -> None:
        refuse_empty_batches(self.batch)


@dataclass(frozen=True, slots=True)
class Config:
    """One run. `stages`: see `models.mask_rcnn.resolution`; empty trains at full size always.

    `initial`: folder with `weights.*.pt` of this network to start from instead of random ones.
    """

    network: NetworkConfig
    data: DataSettings = field(default_factory=DataSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    stages: Stages = ()
    initial: Path | None = None
