"""Training samples from a folder of real images with outlines, beside the phantoms.

In: a folder that `models.evaluation.folders` recognises. Out: the same tuples as phantoms give.
What must hold: images that are nearly the same never stand on both sides of the split. Public
sets hold the same lesion several times, and a validation on its twin would say nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, Model
from models.evaluation.cases import Case
from models.evaluation.folders import read_folder
from models.mask_rcnn.labelled import Bytes, labelled

_SIDE_PX = 24  # of the thumbnails that are compared
_SAME = 0.92  # correlation of thumbnails; frames of one sweep lie above it
_HELD_OUT = 0.15


def split(folder: Path, model: Model, seed: int) -> tuple[list[int], list[int]]:
    """Indices of `usable(folder)` to train on and to validate on, whole groups of twins each."""
    cases = usable(folder, model)
    groups = _groups(np.stack([_thumbnail(case.read()) for case in cases]))
    order = np.random.default_rng(seed).permutation(len(groups))
    held_out: list[int] = []
    for number in order:
        if len(held_out) >= _HELD_OUT * len(cases):
            break
        held_out += groups[number]
    return sorted(set(range(len(cases))) - set(held_out)), sorted(held_out)


def usable(folder: Path, model: Model) -> list[Case]:
    """Cases of the model's modality whose lesions are outlined or known to be absent."""
    return [
        case
        for case in read_folder(folder)
        if case.modality == model.spec.modality and case.truth.lesions is not None
    ]


def maker(folder: Path, model: Model) -> Callable[[int], tuple[Bytes, Bytes]]:
    """A picklable function from an index into `usable` to a sample."""
    return partial(_sample, cases=usable(folder, model), model=model)


def _sample(index: int, cases: list[Case], model: Model) -> tuple[Bytes, Bytes]:
    case = cases[index]
    masses = [
        (lesion.mask, lesion.offset_px)
        for lesion in case.truth.lesions or ()
        if lesion.kind is FindingKind.MASS
    ]
    return labelled(case.read(), masses, model)


def _thumbnail(image: BreastImage) -> NDArray[np.float32]:
    small = cv2.resize(image.pixels, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    flat = np.asarray(small, np.float32).ravel()
    flat = flat - flat.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6), np.float32)


def _groups(thumbnails: NDArray[np.float32]) -> list[list[int]]:
    """Connected components of "correlates above _SAME", by the smallest member."""
    alike = thumbnails @ thumbnails.T > _SAME
    label = np.arange(len(alike))
    while True:
        spread = np.where(alike, label[np.newaxis, :], len(alike)).min(axis=1)
        spread = np.minimum(spread, label)
        if np.array_equal(spread, label):
            break
        label = spread
    return [np.flatnonzero(label == number).tolist() for number in np.unique(label)]
