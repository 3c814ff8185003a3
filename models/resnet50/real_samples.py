"""Training images from a folder of real mammograms with a label, beside the phantoms.

In: a folder that `models.datasets.folders` recognises. Out: the same tuples as phantoms give.
What must hold: all images of a patient stand on one side of the split, and on the same side in
every run, so that a later evaluation can leave out what was trained on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.contract import ModelInputError
from models.datasets.cases import Case
from models.datasets.folders import read_folder
from models.resnet50.preprocess import find_breast, preprocess
from models.resnet50.spec import CLASSES, SPEC

HELD_OUT_PERCENT = 20

Sample = tuple[NDArray[np.uint8], NDArray[np.int64]]


def usable(folders: Sequence[Path]) -> list[Case]:
    """Labelled mammograms in which a breast is found, in the order of the folders."""
    cases = [case for folder in folders for case in read_folder(folder)]
    return [
        case
        for case in cases
        if case.modality == SPEC.modality and case.truth.label is not None and _has_breast(case)
    ]


def split(cases: Sequence[Case]) -> tuple[list[int], list[int]]:
    """Indices to train on and to validate on, by a checksum of the patient's group."""
    held_out = [
        index
        for index, case in enumerate(cases)
        if zlib.crc32(case.group.encode()) % 100 < HELD_OUT_PERCENT
    ]
    return sorted(set(range(len(cases))) - set(held_out)), held_out


def maker(cases: Sequence[Case]) -> Callable[[int], Sample]:
    """A picklable function from an index into `cases` to a sample."""
    return partial(_sample, cases=cases)


def _sample(index: int, cases: Sequence[Case]) -> Sample:
    case = cases[index]
    tensor = preprocess(case.read()).tensors[SPEC.inputs[0].name][0]
    return tensor, np.array([CLASSES.index(str(case.truth.label))], np.int64)


def _has_breast(case: Case) -> bool:
    try:
        find_breast(case.read())
    except ModelInputError:
        return False
    return True
