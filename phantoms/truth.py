"""What is known of a phantom: the lesions asked for, the lesions drawn, and the image with them.

These types carry the ground truth from the generators to files, tests and training. Masks are in
the image's own pixel grid, after the laterality flip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LesionKind = Literal["mass", "calcification_cluster", "arterial_calcification"]
Margin = Literal["circumscribed", "spiculated"]
Modality = Literal["MG", "US"]
Laterality = Literal["L", "R"]
View = Literal["CC", "MLO"]
Label = Literal["normal", "benign", "malignant"]


@dataclass(frozen=True, slots=True)
class LesionRequest:
    """A lesion to draw. Whatever is None is drawn at random from the seed.

    `size_mm`: mean diameter of a mass core or of a cluster, or length of a calcified vessel.
    `conspicuity` in [0, 1]: 0 is the subtlest that is still drawn, 1 is obvious.
    `depth` in [0, 1]: 0 at the chest wall, 1 at the nipple. `height` in [-1, 1]: position across
    the breast, -1 at the upper edge of the image's breast and 1 at the lower one.
    """

    kind: LesionKind
    margin: Margin | None = None
    malignant: bool | None = None
    size_mm: float | None = None
    conspicuity: float | None = None
    depth: float | None = None
    height: float | None = None


@dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion that is in the image.

    `mask`: bool (height, width), a crop whose top left pixel is image pixel `offset_px`
    (row, column). Of a mass: core and margin, not the spicule tips. Of a calcification cluster:
    the hull of its specks, 1 mm wider. Of an arterial calcification: its deposits, 0.5 mm wider.
    `margin` is None unless the lesion is a mass.
    """

    kind: LesionKind
    margin: Margin | None
    malignant: bool
    mask: NDArray[np.bool_]
    offset_px: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Phantom:
    """One synthetic image.

    `pixels`: float32 (rows, columns) in [0, 1] as displayed, background 0.
    `raw`: float32 (rows, columns) in (0, 1], linear in detector exposure, air 1 and dense tissue
    dark; None for ultrasound. `pixel_spacing_mm`: (between rows, between columns).
    `breast_mask`: bool (rows, columns). `label`: that of the worst lesion.
    """

    pixels: NDArray[np.float32]
    raw: NDArray[np.float32] | None
    modality: Modality
    laterality: Laterality
    view: View | None
    pixel_spacing_mm: tuple[float, float]
    breast_mask: NDArray[np.bool_]
    lesions: tuple[Lesion, ...]
    label: Label


def worst_label(lesions: tuple[Lesion, ...]) -> Label:
    """Label of an image from its lesions; arterial calcification is benign."""
    if any(lesion.malignant for lesion in lesions):
        return "malignant"
    return "benign" if lesions else "normal"


def crop_lesion(
    mask: NDArray[np.bool_], kind: LesionKind, margin: Margin | None, malignant: bool
) -> Lesion:
    """Make a Lesion from a full-size mask, bool (rows, columns), with at least one True pixel."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError(f"the {kind} lies outside the image")
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1].copy()
    return Lesion(kind, margin, malignant, crop, (top, left))
