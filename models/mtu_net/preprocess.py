"""From a mammogram to the tiles that MTU-Net sees.

In: a `BreastImage`. Out: uint8 tiles (n, 1, 256, 256) of the breast on a grid of 0.15 mm, and where
each lies. The thickness of an image For Processing is evened out first. Training and serving both
come through here. Only numpy and OpenCV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, ModelInputError, Prepared
from models.foreground import Box, breast_box, breast_mask, windowed
from models.imaging.intensity import thickness_evened
from models.imaging.tiles import starts
from models.mtu_net.spec import (
    ASSUMED_BREAST_HEIGHT_MM,
    MIN_BREAST_FRACTION,
    PROCESSING_RANGE,
    SPEC,
    STRIDE_PX,
    TILE_PX,
    WINDOW_PERCENTILES,
    WINDOW_TOP,
    WORKING_SPACING_MM,
)

# Long side of a breast. A spacing that puts it outside is wrong and is treated as unknown: tiles
# made with it would number hundreds, or none.
PLAUSIBLE_BREAST_MM = (30.0, 400.0)


@dataclass(frozen=True, slots=True)
class Grid:
    """The working grid: the breast's box, resampled.

    `box`: the part of the image that was resampled, in image px. `shape`: (rows, columns) of the
    grid. `origins`: top left corner (row, column) of each tile, in grid px.
    """

    box: Box
    shape: tuple[int, int]
    origins: tuple[tuple[int, int], ...]


def working_image(image: BreastImage) -> tuple[NDArray[np.uint8], NDArray[np.bool_], Grid]:
    """Return the windowed breast (rows, columns), its mask, and the grid. Raises ModelInputError.

    Both arrays reach at least one tile in each direction; what lies beyond the image is 0, False.
    """
    mask = breast_mask(image.pixels)
    box = breast_box(mask)
    shape = _grid_shape(image, box)
    inside = box.crop(mask)
    even = box.crop(thickness_evened(image, mask))
    narrowest = PROCESSING_RANGE if image.for_processing else 0.0
    window = windowed(even, inside, WINDOW_PERCENTILES, WINDOW_TOP, narrowest)
    columns_rows = (shape[1], shape[0])
    shrinks = shape[0] < window.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    pixels = cv2.resize(window, columns_rows, interpolation=method)
    breast = cv2.resize(inside.astype(np.uint8), columns_rows, interpolation=cv2.INTER_NEAREST) > 0
    grid = Grid(box, shape, tile_origins(breast))
    padding = [(0, max(0, TILE_PX - size)) for size in shape]
    return np.pad(pixels, padding), np.pad(breast, padding), grid


def tile_origins(breast: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Corners of the tiles that hold enough breast, row by row; together they cover the grid."""
    enough = MIN_BREAST_FRACTION * TILE_PX**2
    return tuple(
        (row, column)
        for row in starts(breast.shape[0], TILE_PX, STRIDE_PX)
        for column in starts(breast.shape[1], TILE_PX, STRIDE_PX)
        if breast[row : row + TILE_PX, column : column + TILE_PX].sum() >= enough
    )


def cut(array: NDArray[np.uint8], origin: tuple[int, int]) -> NDArray[np.uint8]:
    """One tile (256, 256) of a padded working image."""
    row, column = origin
    return array[row : row + TILE_PX, column : column + TILE_PX]


def preprocess(image: BreastImage) -> Prepared:
    """Tiles of one mammogram. Raises ModelInputError."""
    pixels, _, grid = working_image(image)
    if not grid.origins:
        raise ModelInputError("no tile of the image holds enough breast")
    tiles = np.stack([cut(pixels, origin) for origin in grid.origins])
    return Prepared({SPEC.inputs[0].name: tiles[:, np.newaxis]}, grid)


def _grid_shape(image: BreastImage, box: Box) -> tuple[int, int]:
    """(rows, columns) of the box on the working grid."""
    rows_mm, columns_mm = image.pixel_spacing_mm or (math.nan, math.nan)
    long_side_mm = max(box.height * rows_mm, box.width * columns_mm)
    if not PLAUSIBLE_BREAST_MM[0] <= long_side_mm <= PLAUSIBLE_BREAST_MM[1]:
        rows_mm = columns_mm = ASSUMED_BREAST_HEIGHT_MM / box.height
    height = round(box.height * rows_mm / WORKING_SPACING_MM)
    width = round(box.width * columns_mm / WORKING_SPACING_MM)
    return max(1, height), max(1, width)
