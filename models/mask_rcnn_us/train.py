"""Train this model on BUSI-like folders and phantoms: `sentinode models train mask_rcnn_us`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.mask_rcnn import train
from models.mask_rcnn.settings import Config
from models.mask_rcnn_us.model import MODEL
from models.training.folds import Fold

__all__ = ["Config", "prepare", "run"]


def prepare(config: Config, data: Sequence[Path]) -> None:
    """Keep the samples in packs; see `models.mask_rcnn.train`."""
    train.prepare(MODEL, config, data)


def run(
    config: Config,
    data: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
    fold: Fold | None = None,
) -> Mapping[str, float]:
    """Train once; see `models.mask_rcnn.train`."""
    return train.run(MODEL, config, data, out, resume=resume, fold=fold)
