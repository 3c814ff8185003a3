"""Whether what the screen shows over an image is the region that it should show.

In: a screenshot, the place of the image on it, the true mask. Out: shares of coloured pixels inside
and outside. Mammograms are grey: whatever has a colour was drawn over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Between the largest and the smallest of red, green and blue; JPEG-free screenshots of grey have 0.
COLOURED = 30
# The viewer interpolates; an edge may lie this much off.
TOLERANCE_PX = 3


@dataclass(frozen=True)
class Screen:
    """What a person sees of one image.

    `pixels`: uint8 (height, width, 3), RGB. `to_screen`: float64 (2, 3), affine, from image (x, y)
    in the convention that 0.0 is the centre of the first pixel. `furniture`: (x, y, width, height)
    of the viewer's own texts and buttons.
    """

    pixels: NDArray[np.uint8]
    to_screen: NDArray[np.float64]
    furniture: tuple[tuple[int, int, int, int], ...]

    def coloured(self) -> NDArray[np.bool_]:
        """bool (height, width): where something coloured was drawn, the furniture aside."""
        spread: NDArray[np.bool_] = np.ptp(self.pixels.astype(np.int16), axis=2) > COLOURED
        return spread & self.open()

    def open(self) -> NDArray[np.bool_]:
        """bool (height, width): where no furniture stands before the image."""
        free = np.ones(self.pixels.shape[:2], np.bool_)
        for x, y, width, height in self.furniture:
            free[max(y, 0) : y + height, max(x, 0) : x + width] = False
        return free

    def place(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask (rows, columns) of the image, bool (height, width) on the screen."""
        height, width = self.pixels.shape[:2]
        placed = cv2.warpAffine(mask.astype(np.uint8), self.to_screen, (width, height))
        return placed.astype(np.bool_)


@dataclass(frozen=True)
class Coverage:
    """Shares of coloured pixels, in [0, 1]: of the least coloured region, and outside of all."""

    inside: float
    outside: float

    @property
    def is_region(self) -> bool:
        """Each region is filled, and nothing else is."""
        return self.inside > 0.95 and self.outside < 0.002


def fill_coverage(screen: Screen, *masks: NDArray[np.bool_]) -> Coverage:
    """How well a filled overlay matches `masks`, each for itself, edges and furniture aside."""
    regions = [screen.place(mask) for mask in masks]
    image, free, coloured = screen.place(np.ones_like(masks[0])), screen.open(), screen.coloured()
    beside = _shrunk(image) & ~_grown(np.logical_or.reduce(regions)) & free
    inside = min(float(coloured[_core(region) & free].mean()) for region in regions)
    return Coverage(inside, float(coloured[beside].mean()))


def outline_share(screen: Screen, mask: NDArray[np.bool_]) -> float:
    """The share of the region's outline that has colour beside it, in [0, 1].

    A dashed outline counts in full when its gaps are no longer than twice the tolerance.
    """
    region = screen.place(mask)
    outline = _grown(region, 1) & ~region & screen.open()
    return float(_grown(screen.coloured())[outline].mean())


def core_share(screen: Screen, mask: NDArray[np.bool_]) -> float:
    """The share of the region away from its outline that has colour, in [0, 1]."""
    return float(screen.coloured()[_shrunk(screen.place(mask), 3 * TOLERANCE_PX)].mean())


def _core(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The region without its edge; of one as thin as an artery, what is left of it."""
    cores = (_shrunk(region, by_px) for by_px in range(TOLERANCE_PX, -1, -1))
    return next(core for core in cores if core.sum() > region.sum() / 20)


def _grown(mask: NDArray[np.bool_], by_px: int = TOLERANCE_PX) -> NDArray[np.bool_]:
    return cv2.dilate(mask.astype(np.uint8), _disc(by_px)).astype(np.bool_)


def _shrunk(mask: NDArray[np.bool_], by_px: int = TOLERANCE_PX) -> NDArray[np.bool_]:
    return cv2.erode(mask.astype(np.uint8), _disc(by_px)).astype(np.bool_)


def _disc(radius_px: int) -> NDArray[np.uint8]:
    size = 2 * radius_px + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)).astype(np.uint8)
