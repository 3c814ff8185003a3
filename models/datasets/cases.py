"""What is known of an image: an image with what is known to be in it.

In: nothing; these are values. What must hold: truth that is not known is None or absent, never
guessed, so that a figure of merit which needs it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, Modality

Label = Literal["normal", "benign", "malignant"]

# From harmless to grave: an image or a patient has the gravest label of its parts.
LABELS: tuple[Label, ...] = ("normal", "benign", "malignant")

Fold = Literal["", "train", "test"]


@dataclass(frozen=True, slots=True)
class Lesion:
    """A lesion in image px: bool crop (height, width) at `offset_px` (row, column).

    `label`: benign or malignant where the set tells it of this lesion, else None.
    """

    kind: FindingKind
    mask: NDArray[np.bool_]
    offset_px: tuple[int, int]
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """`label` of the image; `lesions` is None where nobody outlined them, empty where none are.

    `outlined`: the kinds that were looked for, None for all. Of another kind nothing is known: who
    marks one makes no mistake.
    """

    label: Label | None
    lesions: tuple[Lesion, ...] | None
    outlined: frozenset[FindingKind] | None = None

    def knows(self, kind: FindingKind) -> bool:
        """Whether every lesion of a kind is outlined, or none is there."""
        return self.lesions is not None and (self.outlined is None or kind in self.outlined)


# What readers of mammograms outline; calcified arteries are passed over as harmless.
SUSPICIOUS = frozenset({FindingKind.MASS, FindingKind.CALCIFICATION_CLUSTER})


@dataclass(frozen=True, slots=True)
class Case:
    """One image, read when it is needed. `name` is unique in its folder.

    `group`: images of equal group show one patient and stay on one side of any split; empty where
    the set does not tell patients apart. `clinical`: what the set tells of the patient and the
    picture, as far as it does: age (years), density, view, laterality, machine. `fold`: the side of
    the split that the set itself prescribes, empty where it prescribes none.
    """

    name: str
    modality: Modality
    truth: Truth
    read: Callable[[], BreastImage]
    group: str = ""
    clinical: Mapping[str, float | str] = field(default_factory=dict)
    fold: Fold = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a folder or its table names and what is no case, with the reason in words."""

    name: str
    reason: str


def gravest(labels: list[Label | None]) -> Label | None:
    """The gravest of the labels that are known, None where none is."""
    known = [label for label in labels if label is not None]
    return max(known, key=LABELS.index) if known else None
