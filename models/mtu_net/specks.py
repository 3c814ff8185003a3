"""Single calcifications in the working image, to tell a group of them from one.

In: the tiles that the network saw. Out: where each bright dot stands out of the grain around it.
What must hold: a group counts several of them. The network alone often calls a lone speck or dust
on a film a cluster; BI-RADS (ACR, 5th edition, 2013) asks for five within a centimetre, of which
some are too faint to be counted here. Only numpy and OpenCV.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.mtu_net.preprocess import Grid
from models.mtu_net.spec import TILE_PX

# A difference of Gaussians of these sizes answers to dots of 0.2 to 0.8 mm on the grid of 0.15 mm.
_FINE_PX, _COARSE_PX = 0.8, 2.2
_SURROUND_PX = 67  # 1 cm, over which the grain is measured
_LOUDEST = 6.0  # grey levels at which an answer no longer counts as more grain
_LEAST_GRAIN = 0.5  # grey levels: rounding alone
_STANDS_OUT = 3.0  # times the grain


def specks(tiles: NDArray[np.uint8], grid: Grid) -> NDArray[np.bool_]:
    """One True pixel per speck, bool (rows, columns) of the grid; `tiles`: (n, 1, 256, 256)."""
    pixels = _assembled(tiles, grid)
    answer = cv2.GaussianBlur(pixels, (0, 0), _FINE_PX) - cv2.GaussianBlur(
        pixels, (0, 0), _COARSE_PX
    )
    power = cv2.blur(np.minimum(answer * answer, _LOUDEST**2), (_SURROUND_PX, _SURROUND_PX))
    grain = np.maximum(np.sqrt(np.maximum(power, 0.0)), _LEAST_GRAIN)
    highest = cv2.dilate(answer, np.ones((5, 5), np.uint8))
    return np.asarray((answer == highest) & (answer > _STANDS_OUT * grain), np.bool_)


def _assembled(tiles: NDArray[np.uint8], grid: Grid) -> NDArray[np.float32]:
    """The working image again, float32 (rows, columns), 0 where no tile was sent."""
    canvas = np.zeros([max(size, TILE_PX) for size in grid.shape], np.float32)
    for tile, (row, column) in zip(tiles[:, 0], grid.origins, strict=True):
        canvas[row : row + TILE_PX, column : column + TILE_PX] = tile
    rows, columns = grid.shape
    return canvas[:rows, :columns].copy()
