"""A synthetic mass in a real normal mammogram.

In: pixels that grow with the logarithm of attenuation, as film and images For Presentation do; the
breast's mask. Out: the same with one mass, and its exact mask. What is added is the projected
thickness of the mass times its contrast to the fat that it displaces: attenuations along a ray add
up, so in the logarithm they are summed. A shoulder keeps the sum below white, as film does.
What must hold: outside the mass and its spicules no pixel changes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.contract import FindingKind
from models.insertion.inserted import Inserted
from models.insertion.placement import centre, surroundings
from models.insertion.shapes import SHAPES, MassPatch, Shape, draw

DIAMETER_MM = (6.0, 45.0)
"""Drawn evenly in the logarithm; readers' circles in mini-MIAS are 7 to 79 mm wide, half of them
below 17 mm."""

_CONTRAST = (1.2, 4.5)  # peak, in standard deviations of the tissue around
_LEAST_CONTRAST = 0.05  # of the grey range: below that nobody sees it in fat without texture
_SMALLEST_RADIUS_PX = 3.0
_LARGEST_SHARE = 0.25  # of the square root of the breast's area: a small breast has no giant mass

Label = Literal["benign", "malignant"]
_LABELS: dict[Shape, Label] = {
    "round": "benign",
    "lobulated": "benign",
    "irregular": "malignant",
    "spiculated": "malignant",
}


def insert_mass(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    rng: np.random.Generator,
    spacing_mm: float,
    shape: Shape | None = None,
    diameter_mm: float | None = None,
) -> Inserted:
    """Add one mass at random, or of the given shape and mean diameter.

    `pixels` (rows, columns) in [0, 1], bright where dense; `spacing_mm` between pixels, the same in
    both directions. Raises NoRoomError where the breast is too small.
    """
    chosen: Shape = shape or SHAPES[rng.integers(len(SHAPES))]
    low, high = np.log(DIAMETER_MM)
    wanted_mm = diameter_mm or float(np.exp(rng.uniform(low, high)))
    radius_px = max(_SMALLEST_RADIUS_PX, 0.5 * wanted_mm / spacing_mm)
    if diameter_mm is None:
        radius_px = min(radius_px, max(_SMALLEST_RADIUS_PX, _LARGEST_SHARE * breast.sum() ** 0.5))
    place = centre(pixels, breast, rng, 0.7 * radius_px)
    around = surroundings(pixels, breast, place, 2.0 * radius_px)
    contrast = max(_LEAST_CONTRAST, float(rng.uniform(*_CONTRAST) * around.std()))
    patch = draw(chosen, radius_px, spacing_mm, rng)
    return _add(pixels, breast, patch, place, contrast, _LABELS[chosen])


def _add(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    patch: MassPatch,
    place: tuple[float, float],
    contrast: float,
    label: Label,
) -> Inserted:
    """Lay the patch on the image with its middle at `place`, clipped to the breast."""
    here, there = _overlap(pixels.shape, patch.core.shape, place)
    changed = pixels.copy()
    added = contrast * patch.thickness[there] * breast[here]
    changed[here] = shoulder(pixels[here], added)
    mask = np.zeros(pixels.shape, np.bool_)
    mask[here] = patch.core[there] & breast[here]
    return Inserted(changed, mask, FindingKind.MASS, label)


def shoulder(pixels: NDArray[np.float32], added: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of both that approaches 1 and never passes it: linear while there is headroom."""
    headroom = np.maximum(np.float32(1.0) - pixels, np.float32(1e-4))
    lifted = pixels + headroom * (np.float32(1.0) - np.exp(-added / headroom))
    return np.asarray(np.clip(lifted, 0.0, 1.0), np.float32)


def _overlap(
    image: tuple[int, ...], patch: tuple[int, ...], place: tuple[float, float]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of the image and of the patch that lie on each other."""
    here, there = [], []
    for size, side, middle in zip(image, patch, place, strict=True):
        first = int(middle) - side // 2
        start, stop = max(0, first), min(size, first + side)
        here.append(slice(start, stop))
        there.append(slice(start - first, stop - first))
    return (here[0], here[1]), (there[0], there[1])
