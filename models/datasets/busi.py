"""BUSI: breast ultrasound images (Al-Dhabyani et al. 2020, doi 10.1016/j.dib.2019.104863).

In: a folder with `normal`, `benign` and `malignant`; images as `benign (1).png` with masks
`benign (1)_mask.png`, `benign (1)_mask_1.png`, as the authors ship them, or as `benign_1.jpg` with
`benign_1_mask0.png`. Out: cases, one lesion per mask. What must hold: patients are not told apart
by the set, so `group` stays empty and splits go by likeness of the pictures; a lesion whose mask is
missing, empty, broken or of another size is unknown, not absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.contract import FindingKind
from models.datasets.cases import LABELS, Case, Label, LeftOut, Lesion, Truth
from models.datasets.pictures import (
    PICTURES,
    files_below,
    files_of,
    folders_of,
    lesion_of,
    read_mask,
    read_picture,
    size_of,
)
from models.datasets.tables import DataSetError, place_of

# With one of these the truth stands in a table, and the folders are somebody else's.
_TABLES = ("labels.csv", "train.csv", "Info.txt")

_MASK = re.compile("(.*)_mask", re.IGNORECASE | re.DOTALL)  # what stands before the last one

_NO_MASK = "no mask, as NAME_mask.png beside it: its lesions are unknown"


class _MaskError(Exception):
    """A mask that tells nothing; the text says why."""


def is_busi(folder: Path) -> bool:
    """A folder of a class is there; a part of the set may lack the others."""
    return bool(_folders(folder)) and not any(place_of(folder, t).is_file() for t in _TABLES)


def read_busi(folder: Path) -> Iterator[Case | LeftOut]:
    """Every image, by class and name, and the masks that could not be used.

    Raises DataSetError where there is no picture at all.
    """
    folders = _folders(folder)
    if not any(files_of(path, PICTURES) for path, _ in folders):
        names = ", ".join(path.name for path, _ in folders)
        raise DataSetError(
            f"{folder}: {names} hold no picture; pictures and masks lie in them side by side, "
            "not in folders below"
        )
    for path, label in folders:
        yield from _class(path, label)


def _folders(folder: Path) -> list[tuple[Path, Label]]:
    """Folders of the classes, class by class, whose names may be in capitals or not."""
    below = folders_of(folder)
    return [(path, label) for label in LABELS for path in below if path.name.lower() == label]


def _class(folder: Path, label: Label) -> Iterator[Case | LeftOut]:
    for below in folders_of(folder):
        if next(files_below(below, PICTURES), None):
            yield LeftOut(f"{folder.name}/{below.name}", "pictures in a folder below their class")
    images: dict[str, Path] = {}
    of_image: dict[str, list[Path]] = {}
    for path in files_of(folder, PICTURES):
        mask_of = _MASK.match(path.stem)
        if mask_of:
            own = of_image.setdefault(mask_of[1], [])
            if path.stem in [mask.stem for mask in own]:
                yield LeftOut(f"{folder.name}/{path.name}", "another mask has this name")
            else:
                own.append(path)
        elif images.setdefault(path.stem, path) is not path:
            yield LeftOut(f"{folder.name}/{path.name}", "another picture has this name")
    for path in images.values():
        lesions: list[Lesion] = []
        own = of_image.pop(path.stem, [])
        # A normal image needs no mask; a lesion that nobody outlined is unknown, not absent.
        known = label == "normal" or bool(own)
        if not known:
            yield LeftOut(f"{folder.name}/{path.name}", _NO_MASK)
        for mask in own:
            try:
                lesions += _lesions(mask, path, label)
            except _MaskError as error:
                known = False
                yield LeftOut(f"{folder.name}/{mask.name}", str(error))
        truth = Truth(label, tuple(lesions) if known else None)
        yield Case(path.stem, "US", truth, partial(read_picture, path, "US"))
    for masks in of_image.values():
        for mask in masks:
            yield LeftOut(f"{folder.name}/{mask.name}", "a mask without its image")


def _lesions(path: Path, image: Path, label: Label) -> list[Lesion]:
    """The lesion of one mask; none in an empty one of a normal image. Raises _MaskError."""
    try:
        mask = read_mask(path)
    except OSError as error:
        raise _MaskError("a mask that cannot be read") from error
    if mask is None:
        raise _MaskError("a mask that is not a readable picture")
    size = size_of(image)
    if size is not None and size != mask.shape:
        raise _MaskError("a mask of another size than its image")
    return _outlined(mask, label)


def _outlined(mask: NDArray[np.generic], label: Label) -> list[Lesion]:
    lesion = lesion_of(mask, FindingKind.MASS, label)
    if (lesion is None) != (label == "normal"):
        raise _MaskError(
            "an empty mask of an image with a lesion"
            if lesion is None
            else "a lesion drawn on a normal image"
        )
    return [] if lesion is None else [lesion]
