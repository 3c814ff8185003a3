"""BUSI: breast ultrasound images (Al-Dhabyani et al. 2020, doi 10.1016/j.dib.2019.104863).

In: a folder with `normal`, `benign` and `malignant`; images as `benign (1).png` with masks
`benign (1)_mask.png`, `benign (1)_mask_1.png`, as the authors ship them, or as `benign_1.jpg` with
`benign_1_mask0.png`. Out: cases, one lesion per mask. What must hold: patients are not told apart
by the set, so `group` stays empty and splits go by likeness of the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2

from models.contract import FindingKind
from models.datasets.cases import LABELS, Case, Label, Lesion, Truth
from models.datasets.pictures import lesion_of, read_picture

# With one of these the truth stands in a table, and the folders are somebody else's.
_TABLES = ("labels.csv", "train.csv", "Info.txt")

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


def is_busi(folder: Path) -> bool:
    """A folder of a class is there; a part of the set may lack the others."""
    return any((folder / label).is_dir() for label in LABELS) and not any(
        (folder / name).is_file() for name in _TABLES
    )


def read_busi(folder: Path) -> Iterator[Case]:
    """Every image, by class and name. Raises OSError for a mask that cannot be read."""
    for label in LABELS:
        if (folder / label).is_dir():
            yield from _class(folder / label, label)


def _class(folder: Path, label: Label) -> Iterator[Case]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    masks = [path for path in paths if "_mask" in path.stem]
    of_image: dict[str, list[Path]] = {}
    for mask in masks:
        of_image.setdefault(mask.stem[: mask.stem.rindex("_mask")], []).append(mask)
    for path in paths:
        if path in masks:
            continue
        own = of_image.get(path.stem, [])
        lesions = _lesions(own, label)
        # A normal image needs no mask; a lesion that nobody outlined is unknown, not absent.
        outlined = label == "normal" or bool(own)
        truth = Truth(label, lesions if outlined else None)
        yield Case(path.stem, "US", truth, partial(read_picture, path, "US"))


def _lesions(masks: list[Path], label: Label) -> tuple[Lesion, ...]:
    lesions = []
    for path in masks:
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise OSError(f"{path} is not a readable picture")
        lesion = lesion_of(mask, FindingKind.MASS, label)
        if lesion is not None:
            lesions.append(lesion)
    return tuple(lesions)
