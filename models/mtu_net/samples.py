"""Training samples kept in one file: `python -m models.mtu_net.samples --data DIR --out FILE`.

In: folders of real mammograms. Out: an npz with `tiles` and `truth`, uint8 (n, 6, 256, 256) both,
that training loads as a whole. Drawing costs as much as training on them once, so samples that
several runs share, or that travel to a machine with a GPU, are drawn beforehand.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track

from models.mtu_net.insertion_samples import backgrounds, maker
from models.training.samples import SampleStock


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    options = _parser().parse_args(arguments)
    cv2.setNumThreads(1)
    training, validation = backgrounds(options.data)
    make = maker(validation if options.validation else training)
    seeds = range(options.first, options.first + options.count)
    drawn = [make(seed) for seed in track(seeds, "drawing")]
    np.savez(options.out, tiles=[tiles for tiles, _ in drawn], truth=[truth for _, truth in drawn])


def load(path: Path, device: torch.device) -> SampleStock:
    """All samples of a file on the device. Raises OSError, KeyError."""
    with np.load(path) as kept:
        tiles, truth = kept["tiles"], kept["truth"]
    return SampleStock(None, lambda row: (tiles[row], truth[row]), range(len(tiles)), device)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="seed of the first sample")
    parser.add_argument("--validation", action="store_true", help="backgrounds held out")
    return parser


if __name__ == "__main__":
    main()
