"""What an insertion returns, and the error it raises where there is no room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.contract import FindingKind


class NoRoomError(ValueError):
    """The breast is too small for the lesion that was drawn."""


@dataclass(frozen=True, slots=True)
class Inserted:
    """A mammogram with one lesion more.

    `pixels`: float32 (rows, columns) in [0, 1], a new array. `mask`: bool (rows, columns), exactly
    the pixels that belong to the lesion, all of them inside the breast. `label`: what a radiologist
    would take the lesion for by its shape, not the result of a biopsy: there was none.
    """

    pixels: NDArray[np.float32]
    mask: NDArray[np.bool_]
    kind: FindingKind
    label: Literal["benign", "malignant"]

    def __post_init__(self) -> None:
        if self.pixels.shape != self.mask.shape or self.pixels.ndim != 2:
            raise ValueError(f"pixels {self.pixels.shape} and mask {self.mask.shape} do not agree")
        if not self.mask.any():
            raise ValueError("an inserted lesion has no pixels")
