"""Square patches of a mammogram with the masks of their lesions, turned and mirrored at random.

After Raza et al. (paper 001, section 2.2): patches of 256 x 256 px are taken from the mammogram and
at the same place from its ROI mask, flipped, laterally inverted and rotated by up to 30 degrees.
A patch is resampled once, straight from the image, so that a rotated patch has no empty corners
unless the image ends there. Only numpy and OpenCV.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

PATCH_PX = 256
ROTATION_DEGREES = 30.0

_ON_LESION = 0.5  # of the patches of an image with a lesion; the others look anywhere in the breast


@dataclass(frozen=True, slots=True)
class Patch:
    """`pixels` (side, side) and channels, of the image's type; `mask` bool (side, side)."""

    pixels: NDArray[np.float32]
    mask: NDArray[np.bool_]


def patches(
    pixels: NDArray[np.float32],
    mask: NDArray[np.bool_],
    breast: NDArray[np.bool_],
    rng: np.random.Generator,
    side_px: int = PATCH_PX,
) -> Iterator[Patch]:
    """Patches without end: half of them around a pixel of the lesion, if there is one.

    All three arrays are (rows, columns) of one image, whose pixels may have a last axis of
    channels; the breast holds at least one pixel.
    """
    lesion, tissue = np.argwhere(mask), np.argwhere(breast)
    while True:
        places = lesion if len(lesion) and rng.random() < _ON_LESION else tissue
        row, column = places[rng.integers(len(places))] + rng.uniform(-0.25, 0.25, 2) * side_px
        yield cut(pixels, mask, (float(row), float(column)), transform(rng), side_px)


def transform(
    rng: np.random.Generator, rotation_degrees: float = ROTATION_DEGREES
) -> NDArray[np.float64]:
    """A matrix (2, 2) from patch to image offsets (x, y): mirrored in x, in y, then rotated."""
    angle = np.deg2rad(rng.uniform(-rotation_degrees, rotation_degrees))
    mirror = np.diag(rng.choice([-1.0, 1.0], 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(turn @ mirror)


def cut(
    pixels: NDArray[np.float32],
    mask: NDArray[np.bool_],
    centre_px: tuple[float, float],
    offsets: NDArray[np.float64],
    side_px: int = PATCH_PX,
) -> Patch:
    """One patch whose middle is `centre_px` (row, column); beyond the image it is 0 and False."""
    middle = (side_px - 1) / 2.0
    shift = np.array([centre_px[1], centre_px[0]]) - offsets @ np.array([middle, middle])
    matrix = np.column_stack([offsets, shift])
    size = (side_px, side_px)
    backwards = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(pixels, matrix, size, flags=backwards)
    marked = cv2.warpAffine(mask.astype(np.float32), matrix, size, flags=backwards)
    return Patch(np.asarray(seen, pixels.dtype), marked >= 0.5)
