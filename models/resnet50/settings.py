"""The training configuration of the classifier; defaults and their sources are in `train.toml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from models.training.settings import FitSettings, refuse_empty_batches


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Widest changes of an image: radians, and natural logarithms of factors."""

    rotation: float = 0.3
    scale: float = 0.18
    aspect: float = 0.15
    shift: float = 0.08  # of half the image
    upside_down: float = 0.5  # share of the images
    gamma: float = 0.5
    gain: float = 0.25
    noise: float = 0.02  # of the byte range


@dataclass(frozen=True, slots=True)
class Stage:
    """Until `until` (share of the budget), images of `rows` and, unless `deep`, fewer blocks."""

    until: float
    rows_px: int
    deep: bool


@dataclass(frozen=True, slots=True)
class Data:
    """`packs`: folder in which prepared samples are kept, "" for none. See `samples`."""

    batch: int = 32
    phantoms: int = 160
    validation_phantoms: int = 60
    phantom_share: float = 0.1
    drawn_share: float = 0.35
    clinical_missing: float = 0.5
    fact_missing: float = 0.3
    workers: int = 2
    packs: str = ""

    def __post_init__(self) -> None:
        refuse_empty_batches(self.batch)


@dataclass(frozen=True, slots=True)
class Objective:
    """Weights of the parts of the loss."""

    label_smoothing: float = 0.05
    lesion_weight: float = 1.0
    lesion_positive_weight: float = 4.0


@dataclass(frozen=True, slots=True)
class Config:
    """`initial`: folder with `weights.*.pt` to start from instead of random ones."""

    initial: Path | None = None
    stages: tuple[Stage, ...] = (Stage(1.0, 192, True),)
    data: Data = field(default_factory=Data)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    objective: Objective = field(default_factory=Objective)
    fit: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("stages holds no stage")
