"""Which cases train and which validate.

In: cases. Out: indices of both sides. What must hold: images of one patient, and pictures that are
nearly the same, never stand on both sides; the same cases in any order, with the same seed, give
the same sides; both sides have every label and every kind of lesion in about equal shares.

Split each folder by itself and whole, and leave out cases afterwards: then an evaluation of that
folder finds the same validation side again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from models.contract import BreastImage
from models.datasets.cases import Case, gravest

# What every model of the project holds out unless its configuration says otherwise.
HELD_OUT_SHARE = 0.2
SPLIT_SEED = 0

_SIDE_PX = 24  # of the thumbnails that are compared
_ALIKE = {"US": 0.92, "MG": 0.995}  # correlation of thumbnails; frames of one sweep lie above it

# Rows compared at once: a set of 50,000 patches would need 10 GB for all of them.
_BLOCK = 2048

Groups = list[list[int]]


@dataclass(frozen=True, slots=True)
class Split:
    """Indices into the cases, ascending, each case on exactly one side."""

    training: list[int]
    validation: list[int]


def groups(cases: Sequence[Case]) -> Groups:
    """Indices that must stay together, by the smallest member.

    Same patient where the set tells patients apart; where it does not, pictures that are nearly
    the same, and what is nearly the same as those.
    """
    key = {index: case.group for index, case in enumerate(cases) if case.group}
    unknown = [index for index in range(len(cases)) if index not in key]
    for component in _alike(cases, unknown):
        key |= dict.fromkeys(component, f"\0{component[0]}")
    together: dict[str, list[int]] = {}
    for index in range(len(cases)):
        together.setdefault(key[index], []).append(index)
    return list(together.values())


def hold_out(cases: Sequence[Case], share: float = HELD_OUT_SHARE, seed: int = SPLIT_SEED) -> Split:
    """About `share` of the cases for validation, in every stratum."""
    validation: list[int] = []
    owed = 0.0
    for group in _in_order(cases, groups(cases), seed):
        owed += share * len(group)
        # Taken once the debt is nearer to this group than to nothing, so that it stays small.
        if owed >= len(group) / 2.0:
            validation += group
            owed -= len(group)
    return _split(len(cases), validation)


def fingerprint(cases: Sequence[Case]) -> str:
    """SHA-256 (hex) of what divides a folder: names, groups and strata, in any order.

    One picture more or less, or under another name, and others stand on the validation side.
    """
    lines = [
        f"{_stratum(cases, [index])}\0{case.modality}\0{case.group}\0{case.name}"
        for index, case in enumerate(cases)
    ]
    text = "\n".join(sorted(lines))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def k_folds(cases: Sequence[Case], k: int, seed: int = SPLIT_SEED) -> list[Split]:
    """`k` splits; each case validates in exactly one of them. Raises ValueError."""
    together = groups(cases)
    if not 2 <= k <= len(together):
        raise ValueError(f"{k} folds of {len(together)} groups cannot be made")
    folds: list[list[int]] = [[] for _ in range(k)]
    in_stratum: dict[str, list[int]] = {}
    for group in _in_order(cases, together, seed):
        counts = in_stratum.setdefault(_stratum(cases, group), [0] * k)
        fold = min(range(k), key=lambda number: (counts[number], len(folds[number])))
        folds[fold] += group
        counts[fold] += len(group)
    return [_split(len(cases), fold) for fold in folds]


def _split(count: int, validation: list[int]) -> Split:
    held_out = set(validation)
    return Split([index for index in range(count) if index not in held_out], sorted(held_out))


def _in_order(cases: Sequence[Case], together: Groups, seed: int) -> Groups:
    """Stratum by stratum, within each as a checksum of seed and name orders them."""

    def place(group: list[int]) -> tuple[str, bytes]:
        name = min(f"{cases[index].group}/{cases[index].name}" for index in group)
        return _stratum(cases, group), hashlib.sha256(f"{seed}/{name}".encode()).digest()

    return sorted(together, key=place)


def _stratum(cases: Sequence[Case], group: list[int]) -> str:
    """Gravest label and kinds of lesion of a group, as a text that sorts."""
    truths = [cases[index].truth for index in group]
    kinds = sorted({lesion.kind.value for truth in truths for lesion in truth.lesions or ()})
    return f"{gravest([truth.label for truth in truths])} {kinds}"


def _alike(cases: Sequence[Case], indices: list[int]) -> Groups:
    """Connected components of "nearly the same picture"."""
    components: Groups = []
    for modality, threshold in _ALIKE.items():
        own = [index for index in indices if cases[index].modality == modality]
        if own:
            thumbnails = np.stack([_thumbnail_of(cases[index]) for index in own])
            components += [
                [own[place] for place in component]
                for component in _components(thumbnails, threshold)
            ]
    return components


def _thumbnail_of(case: Case) -> NDArray[np.float32]:
    """Of a picture that cannot be read nothing, which is like no other; its reader will tell."""
    try:
        image = case.read()
    except (OSError, ValueError):
        return np.zeros(_SIDE_PX**2, np.float32)
    return _thumbnail(image)


def _thumbnail(image: BreastImage) -> NDArray[np.float32]:
    """Grey levels as a vector of length 1 and mean 0: products of two are correlations."""
    small = cv2.resize(image.pixels, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    flat = np.asarray(small, np.float32).ravel()
    flat = flat - flat.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6), np.float32)


def _components(thumbnails: NDArray[np.float32], threshold: float) -> Groups:
    """Rows joined by chains of correlations above `threshold`."""
    count = len(thumbnails)
    edges = scipy.sparse.vstack(
        [
            scipy.sparse.csr_array(thumbnails[start : start + _BLOCK] @ thumbnails.T > threshold)
            for start in range(0, count, _BLOCK)
        ]
    )
    _, label = connected_components(edges, directed=False)
    together: dict[int, list[int]] = {}
    for index in range(count):
        together.setdefault(int(label[index]), []).append(index)
    return list(together.values())
