"""Where a synthetic lesion goes: inside the breast, rather in dense tissue than in fat.

Lengths are in pixels of the image that is given. Only numpy and OpenCV.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.insertion.inserted import NoRoomError

_SEARCH_PX = 256  # longest side of the grid on which the distance to the skin is measured
_CANDIDATES = 3  # the brightest of so many places is taken: most lesions arise in gland


def centre(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    rng: np.random.Generator,
    clearance_px: float,
) -> tuple[float, float]:
    """A place (row, column) at least `clearance_px` from the border of the breast.

    The image's own border counts as skin too, so that a lesion of that radius is never cut.
    Raises NoRoomError.
    """
    rows, columns = breast.shape
    shrink = max(1.0, max(rows, columns) / _SEARCH_PX)
    size = (max(1, round(columns / shrink)), max(1, round(rows / shrink)))
    small = cv2.resize(breast.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    framed = cv2.copyMakeBorder(small, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    places = np.argwhere(depth * shrink >= clearance_px)
    if not len(places):
        raise NoRoomError(f"no place in the breast is {clearance_px:.0f} px from its border")
    bright = cv2.blur(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), (9, 9))
    drawn = places[rng.integers(len(places), size=_CANDIDATES)]
    row, column = max(drawn, key=lambda place: float(bright[place[0], place[1]]))
    return (
        float((row + rng.random()) * rows / size[1]),
        float((column + rng.random()) * columns / size[0]),
    )


def surroundings(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    centre_px: tuple[float, float],
    radius_px: float,
) -> NDArray[np.float32]:
    """Values of the breast within `radius_px` of a place, flat; at least that of the place."""
    row, column = int(centre_px[0]), int(centre_px[1])
    reach = max(2, int(radius_px))
    window = (
        slice(max(0, row - reach), row + reach + 1),
        slice(max(0, column - reach), column + reach + 1),
    )
    inside = pixels[window][breast[window]]
    return inside if inside.size else pixels[row : row + 1, column]
