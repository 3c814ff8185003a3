"""Where the breast is in a mammogram, and its grey levels stretched to bytes.

In: pixels in [0, 1], background 0 or nearly so, perhaps with burnt-in labels. Out: a mask, its box,
and uint8 grey levels that no longer depend on the vendor's window. Only numpy and OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import ModelInputError
from models.imaging.usable import refuse_unusable

Scalar = TypeVar("Scalar", bound=np.generic)

# The outline needs no more than this, and everything below runs in milliseconds on it.
SEARCH_PX = 512

# Share of Otsu's threshold that separates fat from air: Otsu's own lies between fat and gland.
AIR_SHARE = 0.3
MIN_AIR_LEVEL = 0.02

# A detector's air is black: next to nothing lies between it and the skin. Then MIN_AIR_LEVEL alone
# separates them, and keeps the fat that a vendor's steep window has made nearly as dark. On film a
# quarter of the image may lie in that range, the film's own base; and where the base is brighter
# than that, the area found so is the film itself, which fills its box as no breast does.
FILM_BASE = (0.006, 0.025)
CLEAN_SHARE = 0.012
FILM_EXTENT = 0.9

# A label is thinner than this on the search grid and falls away from the breast.
LABEL_PX = 9

MIN_IMAGE_PX = 64
MIN_BREAST_FRACTION = 0.02  # of the image; below that there is no breast in it

# Percentiles of a sample are as good as those of 10 million pixels.
SAMPLE_PX = 200_000


@dataclass(frozen=True, slots=True)
class Box:
    """A part of an image, in px; `top` and `left` are inside, top + height is outside."""

    top: int
    left: int
    height: int
    width: int

    def crop(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        return array[self.top : self.top + self.height, self.left : self.left + self.width]


def breast_mask(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Largest bright area, holes filled; bool (rows, columns).

    Raises ModelInputError: too small, values that are not numbers, no breast in it.
    """
    refuse_unusable(pixels, MIN_IMAGE_PX, "a mammogram")
    rows, columns = pixels.shape
    scale = min(1.0, SEARCH_PX / max(rows, columns))
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = np.rint(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)
    otsu, _ = cv2.threshold(small, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    level = AIR_SHARE * otsu / 255
    between = (small >= FILM_BASE[0] * 255) & (small <= FILM_BASE[1] * 255)
    filled = _above(small, MIN_AIR_LEVEL) if between.mean() < CLEAN_SHARE else None
    if filled is None or _extent(filled) > FILM_EXTENT:
        filled = _above(small, max(MIN_AIR_LEVEL, level))
    if filled.mean() < MIN_BREAST_FRACTION:
        raise ModelInputError("there is no breast in the image")
    return cv2.resize(filled, (columns, rows), interpolation=cv2.INTER_NEAREST) > 0


def _above(small: NDArray[np.uint8], level: float) -> NDArray[np.uint8]:
    """The largest area above `level` (in [0, 1]), labels removed and holes filled: 0 or 1."""
    above = (small > level * 255).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (LABEL_PX, LABEL_PX))
    # The border counts as breast: the chest wall must not be eaten by the opening.
    framed = np.pad(above, LABEL_PX, mode="edge")
    opened = cv2.morphologyEx(framed, cv2.MORPH_OPEN, disc)[LABEL_PX:-LABEL_PX, LABEL_PX:-LABEL_PX]
    return _largest_filled(np.ascontiguousarray(opened))


def _extent(binary: NDArray[np.uint8]) -> float:
    """The share of its bounding box that an area fills; 0 where there is none."""
    _, _, width, height = cv2.boundingRect(binary)
    return float(binary.sum()) / max(1, width * height)


def breast_box(mask: NDArray[np.bool_]) -> Box:
    """The smallest box around the True pixels, of which there is at least one."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return Box(top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1)


def windowed(
    pixels: NDArray[np.float32],
    inside: NDArray[np.bool_],
    percentiles: tuple[float, float],
    top: float,
    narrowest: float = 0.0,
) -> NDArray[np.uint8]:
    """Grey levels (rows, columns), 0 outside the breast.

    The lower percentile of the pixels `inside` becomes 0, the upper one `top` (in [0, 1]) of the
    byte range; what is brighter still uses the rest. Percentiles that are less than `narrowest`
    apart are stretched as if they were not.
    """
    values = pixels[inside]
    low, high = np.percentile(values[:: max(1, values.size // SAMPLE_PX)], percentiles)
    gain = np.float32(255.0 * top / max(float(high - low), narrowest, 1e-3))
    levels = np.clip((pixels - np.float32(low)) * gain, 0.0, 255.0) * inside
    result: NDArray[np.uint8] = np.rint(levels).astype(np.uint8)
    return result


def _largest_filled(binary: NDArray[np.uint8]) -> NDArray[np.uint8]:
    contours, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(binary)
    if contours:
        largest = max(contours, key=cv2.contourArea)
        cv2.drawContours(filled, [largest], -1, (1,), cv2.FILLED)
    return filled
