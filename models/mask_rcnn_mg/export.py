"""Write this model's part of the model repository from trained weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from models.mask_rcnn.export import publish, trained
from models.mask_rcnn_mg.spec import CONFIG, SPEC


def export(weights: Path, repository: Path) -> Path:
    """Turn `weights` (a folder of parts) into what Triton loads; returns the model's folder."""
    return publish(CONFIG, SPEC, weights, repository)


def module(weights: Path | None) -> nn.Module:
    """See `models.mask_rcnn.export.trained`."""
    return trained(CONFIG, weights)
