"""Training tiles from real mammograms without findings, with calcium inserted.

In: cases of real images (mini-MIAS, RSNA, ...). Out: tiles and truth as `data.make_sample` gives
them. What must hold: only images that are normal by their set's own truth are backgrounds, and an
inserted finding that drowns in the background's grain is not kept: truth that nobody can see
teaches a network to guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, ModelInputError
from models.datasets.cases import Case
from models.datasets.folders import read_folder, tell_unused
from models.datasets.splits import Split, hold_out, k_folds
from models.datasets.tables import DataSetError
from models.foreground import breast_box, breast_mask
from models.insertion.calcifications import add_single_specks, insert_artery, insert_cluster
from models.insertion.inserted import Inserted, NoRoomError
from models.mtu_net.data import BITS, Sample, make_sample, tiles_of
from models.mtu_net.spec import ASSUMED_BREAST_HEIGHT_MM
from models.training.folds import Fold

PHANTOM_SHARE = 0.2  # of training samples: enough that synthetic studies stay in the model's domain
COARSE_SHARE = 0.1  # from pictures without spacing (RSNA at 448 px), where only coarse specks show

_MAX_SPECKS = 5  # single ones, beside what the real breast holds already
_VISIBLE = 3.0  # peak of what was added, in standard deviations of the grain under it
_TRIES = 4

Pixels = NDArray[np.float32]


def backgrounds(folders: Sequence[Path], fold: Fold | None = None) -> tuple[list[Case], list[Case]]:
    """Normal cases to train on and to validate on: the project's split, or one of k folds.

    A patient with a calcification anywhere validates: the other breast may share her arteries, and
    the few real clusters are all needed to judge with. Raises DataSetError for a folder without a
    normal case.
    """
    training: list[Case] = []
    validation: list[Case] = []
    for folder in folders:
        cases = [case for case in read_folder(folder) if case.modality == "MG"]
        if not any(map(is_normal, cases)):
            raise DataSetError(
                f"{folder} holds no normal mammogram, and only into those calcium is inserted"
            )
        tell_unused(folder, sum(not is_normal(case) for case in cases), "not normal")
        split = split_of(cases, fold)
        training += [cases[index] for index in split.training if is_normal(cases[index])]
        validation += [cases[index] for index in split.validation if is_normal(cases[index])]
    return training, validation


def split_of(cases: Sequence[Case], fold: Fold | None = None) -> Split:
    """The split of a folder, with every patient that has a calcification on the validation side."""
    groups = {case.group for case in cases if has_calcium(case)} - {""}
    split = hold_out(cases) if fold is None else k_folds(cases, fold.count)[fold.number]
    held = set(split.validation)
    held |= {index for index, case in enumerate(cases) if case.group in groups or has_calcium(case)}
    return Split([index for index in range(len(cases)) if index not in held], sorted(held))


def is_normal(case: Case) -> bool:
    """No finding by the set's own truth."""
    return case.truth.label == "normal" and not case.truth.lesions


def has_calcium(case: Case) -> bool:
    """A cluster or a calcified artery is outlined."""
    return any(lesion.kind.value in BITS for lesion in case.truth.lesions or ())


def maker(cases: Sequence[Case]) -> Callable[[int], Sample]:
    """A picklable function from a seed to a sample: phantoms, and insertions into `cases`."""
    with_spacing = [case for case in cases if case.read().pixel_spacing_mm is not None]
    without = [case for case in cases if case not in with_spacing]
    return partial(_sample, fine=with_spacing, coarse=without)


def _sample(seed: int, fine: Sequence[Case], coarse: Sequence[Case]) -> Sample:
    rng = np.random.default_rng([seed, 0x4D54])
    draw = float(rng.random())
    if draw < PHANTOM_SHARE or not (fine or coarse):
        return make_sample(seed)
    sparse = bool(coarse) and (not fine or draw < PHANTOM_SHARE + COARSE_SHARE)
    chosen = coarse if sparse else fine
    case = chosen[int(rng.integers(len(chosen)))]
    try:
        image, masks = with_calcium(case.read(), rng)
        return tiles_of(image, masks, rng)
    except (ModelInputError, OSError):
        return make_sample(seed)  # an unreadable picture must not end a run of an hour


def with_calcium(
    image: BreastImage, rng: np.random.Generator
) -> tuple[BreastImage, dict[str, NDArray[np.bool_]]]:
    """The image with none to two clusters, none to two arteries and some single specks.

    Masks bool (rows, columns) by the kinds of BITS. Raises ModelInputError without a breast.
    """
    breast = breast_mask(image.pixels)
    spacing_mm = _spacing_mm(image, breast)
    singles = int(rng.integers(0, _MAX_SPECKS + 1)) if rng.random() < 0.7 else 0
    masks = {kind: np.zeros(image.pixels.shape, np.bool_) for kind in BITS}
    try:
        pixels = add_single_specks(image.pixels, breast, rng, spacing_mm, singles)
    except NoRoomError:
        return image, masks
    for insert, count in _wanted(rng):
        for _ in range(count):
            inserted = _visible(insert, pixels, breast, rng, spacing_mm)
            if inserted is not None:
                pixels = inserted.pixels
                masks[inserted.kind.value] |= inserted.mask
    return replace(image, pixels=pixels), masks


Insert = Callable[[Pixels, NDArray[np.bool_], np.random.Generator, float], Inserted]


def _wanted(rng: np.random.Generator) -> tuple[tuple[Insert, int], ...]:
    """Clusters alone, arteries alone, both, and one image in five with neither."""
    clusters, arteries = ((1, 0), (0, 1), (1, 1), (1, 1), (0, 0))[rng.integers(5)]
    more = int(rng.random() < 0.35)
    return (insert_cluster, clusters * (1 + more)), (insert_artery, arteries * (1 + more))


def _visible(
    insert: Insert,
    pixels: Pixels,
    breast: NDArray[np.bool_],
    rng: np.random.Generator,
    spacing_mm: float,
) -> Inserted | None:
    """A finding that stands out of the grain, or None after a few tries."""
    for _ in range(_TRIES):
        try:
            inserted = insert(pixels, breast, rng, spacing_mm)
        except NoRoomError:
            continue
        # Of an artery half of the deposits, of a cluster a few specks must be seen.
        share = 90.0 if inserted.kind is FindingKind.ARTERIAL_CALCIFICATION else 97.0
        added = (inserted.pixels - pixels)[inserted.mask]
        if np.percentile(added, share) >= _VISIBLE * _grain(pixels, inserted.mask):
            return inserted
    return None


def _grain(pixels: Pixels, mask: NDArray[np.bool_]) -> float:
    """Standard deviation of the finest detail under a mask; at least one grey level of a byte."""
    rows, columns = np.nonzero(mask)
    place = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    part = pixels[place]
    fine = part - cv2.GaussianBlur(part, (0, 0), 1.5)
    return max(float(fine[mask[place]].std()), 1.0 / 255.0)


def _spacing_mm(image: BreastImage, breast: NDArray[np.bool_]) -> float:
    """Pixel pitch; of a picture without one, that which preprocessing will assume."""
    if image.pixel_spacing_mm is not None:
        return float(np.mean(image.pixel_spacing_mm))
    return ASSUMED_BREAST_HEIGHT_MM / breast_box(breast).height
