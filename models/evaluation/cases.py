"""What is evaluated: an image with what is known to be in it.

In: nothing; these are values. What must hold: truth that is not known is None or absent, never
guessed, so that a figure of merit which needs it is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, Modality

Label = Literal["normal", "benign", "malignant"]


@dataclass(frozen=True, slots=True)
class Lesion:
    """A lesion in image px: bool crop (height, width) at `offset_px` (row, column)."""

    kind: FindingKind
    mask: NDArray[np.bool_]
    offset_px: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Truth:
    """`label` of the image; `lesions` is None where nobody outlined them, empty where none are."""

    label: Label | None
    lesions: tuple[Lesion, ...] | None


@dataclass(frozen=True, slots=True)
class Case:
    """One image, read when it is needed. `name` is unique in its folder.

    `group`: images of equal group show one patient and stay on one side of any split.
    """

    name: str
    modality: Modality
    truth: Truth
    read: Callable[[], BreastImage]
    group: str = ""
