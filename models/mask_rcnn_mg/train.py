"""Train this model: `models.mask_rcnn.train` with the name filled in."""

from __future__ import annotations

from collections.abc import Sequence

from models.mask_rcnn import train
from models.mask_rcnn_mg.spec import SPEC


def main(arguments: Sequence[str]) -> None:
    """Train with the options of `python -m models.mask_rcnn`, but `--model`."""
    train.main(["--model", SPEC.name, *arguments])
