"""Training samples: real mammograms and phantoms, prepared as in service, kept as bytes.

In: folders of images, numbers of phantoms. Out: stocks on the device whose rows are a `Sample`:
image uint8 (2, rows, columns), clinical facts float32 (8,), class int64 (1,) and lesion map uint8
(rows, columns). What must hold: all images of a patient stand on one side (`datasets.splits`), and
on the same one in every run; phantom seeds below 1,000,000 train, 5,000,000 to 8,999,999 validate,
and those from 9,000,000 on are seen by nobody before acceptance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from models.contract import BreastImage, ModelInputError
from models.datasets.cases import Case, Truth
from models.datasets.folders import read_folder, tell_unused
from models.datasets.splits import Split, hold_out, k_folds
from models.datasets.tables import DataSetError
from models.resnet50.clinical import vector
from models.resnet50.preprocess import Frame, framed
from models.resnet50.settings import Data
from models.resnet50.spec import CLASSES, COLUMNS_PX, ROWS_PX, SPEC
from models.training.folds import Fold
from models.training.samples import Packed, SampleStock
from phantoms.mammogram import mammogram
from phantoms.truth import Laterality, View

NO_LESION, LESION, UNKNOWN = 0, 1, 2  # of the lesion map
NO_CLASS = -100  # of an image that teaches no class; what torch's cross entropy passes over
VALIDATION_SEED = 5_000_000
SPLIT_SEED = 0

# From a scanner's 0.23 mm to the detector's own 0.1 mm, weighted by what drawing them costs.
SIZES_PX = ((1024, 832), (1664, 1280), (2080, 1600))
SIZE_SHARES = (0.6, 0.3, 0.1)

_PHANTOM = "phantom"

Stocks = dict[str, tuple[SampleStock, SampleStock]]
"""Training and validation stock by the name of the folder, "phantom" for phantoms."""

Sample = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64], NDArray[np.uint8]]

Outlines = Sequence[tuple[NDArray[np.bool_], tuple[int, int]]]
"""Crops and where their top left pixel stands (row, column)."""


def stocks_of(
    settings: Data,
    folders: Sequence[Path],
    device: torch.device,
    pool: Pool | None,
    fold: Fold | None = None,
) -> Stocks:
    """Begin to make, or read, all samples. Raises DataSetError for a folder without usable ones."""
    found: Stocks = {}
    for folder in folders:
        cases = read_folder(folder)
        unused = sum(not is_usable(case) for case in cases)
        tell_unused(folder, unused, "no mammogram, or its class is not known")
        split = split_of(cases, fold)
        sides = [
            [cases[index] for index in side if is_usable(cases[index])]
            for side in (split.training, split.validation)
        ]
        for side, own in zip(("training", "validation"), sides, strict=True):
            if not own:
                count = sum(map(is_usable, cases))
                raise DataSetError(
                    f"{folder}: of {count} mammograms with a label none is on the {side} side of "
                    "the split; add images of more patients"
                )
        own_name = _new_name(folder, found)
        training, validation = (
            SampleStock(pool, of_cases(side), range(len(side)), device, _pack(settings, name, side))
            for name, side in zip(_names(own_name, fold), sides, strict=True)
        )
        found[own_name] = training, validation
    if settings.phantoms:
        last = VALIDATION_SEED + settings.validation_phantoms
        training, validation = (
            SampleStock(pool, of_phantom, seeds, device, _pack(settings, name, seeds))
            for name, seeds in zip(
                _names(_PHANTOM, None),
                (range(settings.phantoms), range(VALIDATION_SEED, last)),
                strict=True,
            )
        )
        found[_PHANTOM] = training, validation
    if not found:
        raise DataSetError("there is nothing to train on: no folder, no packs and no phantoms")
    return found


def _new_name(folder: Path, found: Stocks) -> str:
    """A folder's own name; of several with one name the later ones are numbered."""
    name = folder.name or folder.resolve().name
    taken = {_PHANTOM, *found}
    numbered = (f"{name}-{number}" for number in range(2, 2 + len(taken)))
    return next(free for free in (name, *numbered) if free not in taken)


def packed_stocks(folder: Path, device: torch.device) -> Stocks:
    """The same from packs alone, on a machine that has no images. Raises FileNotFoundError."""
    names = sorted(
        path.name.removesuffix(".training.npz") for path in folder.glob("*.training.npz")
    )
    if not names:
        raise FileNotFoundError(f"{folder} holds no *.training.npz")
    found = {}
    for name in names:
        training, validation = (
            SampleStock(None, of_phantom, (), device, Packed(folder / f"{name}.{side}.npz", None))
            for side in ("training", "validation")
        )
        found[name] = training, validation
    return found


def is_usable(case: Case) -> bool:
    """A mammogram with a label."""
    return case.modality == SPEC.modality and case.truth.label is not None


def split_of(cases: Sequence[Case], fold: Fold | None) -> Split:
    """The project's usual share held out, or one fold of several."""
    if fold is None:
        return hold_out(cases)
    return k_folds(cases, fold.count, SPLIT_SEED)[fold.number]


def of_cases(cases: Sequence[Case]) -> Any:
    """A picklable function from an index into `cases` to a sample."""
    return partial(_of_case, cases=tuple(cases))


def _of_case(index: int, cases: Sequence[Case]) -> Sample:
    """An image without a breast is black and weighs nothing: its class is -100, its map unknown."""
    case = cases[index]
    image = case.read()
    try:
        frame, tensor = framed(image)
    except ModelInputError:
        blank = np.zeros(SPEC.inputs[0].shape, np.uint8)
        unknown = np.full((ROWS_PX, COLUMNS_PX), UNKNOWN, np.uint8)
        return blank, vector(image), np.array([NO_CLASS], np.int64), unknown
    label = np.array([CLASSES.index(str(case.truth.label))], np.int64)
    return tensor, vector(image), label, _marks(image, frame, _outlines(case.truth))


def _outlines(truth: Truth) -> Outlines | None:
    """Lesions of an image, none of a normal one, None where nobody outlined what is there."""
    if truth.lesions is None:
        return () if truth.label == "normal" else None
    return [(lesion.mask, lesion.offset_px) for lesion in truth.lesions]


def of_phantom(seed: int) -> Sample:
    """A phantom, with the label of the worst lesion in it."""
    rng = np.random.default_rng([seed, 0x5250])
    laterality = cast(Laterality, "LR"[rng.integers(2)])
    view: View = ("CC", "MLO")[rng.integers(2)]
    size_px = SIZES_PX[rng.choice(len(SIZES_PX), p=SIZE_SHARES)]
    phantom = mammogram(seed, laterality, view, size_px)
    image = BreastImage(phantom.pixels, "MG", laterality, view, phantom.pixel_spacing_mm)
    frame, tensor = framed(image)
    marks = _marks(image, frame, [(lesion.mask, lesion.offset_px) for lesion in phantom.lesions])
    return tensor, vector(image), np.array([CLASSES.index(phantom.label)], np.int64), marks


def _marks(image: BreastImage, frame: Frame, lesions: Outlines | None) -> NDArray[np.uint8]:
    """Lesion map uint8 (rows, columns) on the network's grid."""
    if lesions is None:
        return np.full((ROWS_PX, COLUMNS_PX), UNKNOWN, np.uint8)
    full = np.zeros(image.pixels.shape, np.uint8)
    for mask, (top, left) in lesions:
        part = full[top : top + mask.shape[0], left : left + mask.shape[1]]
        part[mask[: part.shape[0], : part.shape[1]]] = 255
    # A quarter of a pixel is enough: most specks are smaller than one.
    return np.where(frame.place(full) > 64, LESION, NO_LESION).astype(np.uint8)


def _names(name: str, fold: Fold | None) -> tuple[str, str]:
    prefix = name if fold is None else f"{name}.fold{fold.number + 1}of{fold.count}"
    return f"{prefix}.training", f"{prefix}.validation"


def _pack(settings: Data, name: str, members: Sequence[Any]) -> Packed | None:
    """Where this stock is kept; the key changes with preprocessing and members."""
    if not settings.packs:
        return None
    digest = hashlib.sha256(SPEC.preprocessing_digest().encode())
    for member in members:
        digest.update(f"\0{member.name if isinstance(member, Case) else member}".encode())
    return Packed(Path(settings.packs) / f"{name}.npz", digest.hexdigest())
