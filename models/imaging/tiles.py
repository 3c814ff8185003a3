"""Prediction on overlapping tiles, and one list of findings out of all of theirs.

After Raza et al. (paper 001, figure 6), who split a mammogram into four parts, because a lesion is
small on the whole image, and predict on each. Where parts only touch, a lesion on their border is
seen twice in halves; ours overlap, and what lies on the same place is merged. Only numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.contract import Region
from models.imaging.regions import intersection_px

SAME = 0.5
"""Regions are one finding if they share this much of the smaller one: a half of a lesion, cut by a
tile's border, lies wholly inside the other tile's view of it."""

Predict = Callable[[NDArray[np.float32]], Sequence[Region]]
"""From the pixels of a tile to its regions, in the tile's own pixels."""


def origins(image_px: tuple[int, int], tile_px: int, overlap_px: int) -> list[tuple[int, int]]:
    """Top left corners (row, column), row by row: edge to edge, `overlap_px` or more in common.

    An image smaller than a tile along an axis has one tile there, from 0. Raises ValueError.
    """
    if not 0 <= overlap_px < tile_px:
        raise ValueError(f"tiles of {tile_px} px cannot overlap by {overlap_px} px")
    rows, columns = (starts(size, tile_px, tile_px - overlap_px) for size in image_px)
    return [(row, column) for row in rows for column in columns]


def starts(size: int, tile_px: int, most_apart_px: int) -> list[int]:
    """Where tiles begin along one axis: evenly spread, from edge to edge; [0] if one suffices."""
    if size <= tile_px:
        return [0]
    count = math.ceil((size - tile_px) / most_apart_px) + 1
    return [round(start) for start in np.linspace(0, size - tile_px, count)]


def quarters(image_px: tuple[int, int], overlap: float = 0.25) -> tuple[int, int]:
    """Side of square tiles and their overlap, in px, such that 2 along the longer side cover it."""
    side = math.ceil(max(image_px) / (2.0 - overlap))
    return side, math.floor(side * overlap)


def over_tiles(
    pixels: NDArray[np.float32], tile_px: int, overlap_px: int, predict: Predict
) -> tuple[Region, ...]:
    """Regions of the whole image (rows, columns), best first."""
    found = []
    for top, left in origins((pixels.shape[0], pixels.shape[1]), tile_px, overlap_px):
        for region in predict(pixels[top : top + tile_px, left : left + tile_px]):
            offset = (region.offset_px[0] + top, region.offset_px[1] + left)
            found.append(replace(region, offset_px=offset))
    return merged(found)


def merged(regions: Iterable[Region], same: float = SAME) -> tuple[Region, ...]:
    """Join what is of one kind and lies on the same place: union of masks, best score, best first.

    Each region joins the best one that it meets, as that one has grown so far.
    """
    kept: list[Region] = []
    for region in sorted(regions, key=lambda item: -item.score):
        for number, other in enumerate(kept):
            smaller = min(int(region.mask.sum()), int(other.mask.sum()))
            if region.kind is other.kind and intersection_px(region, other) >= same * smaller:
                kept[number] = _union(other, region)
                break
        else:
            kept.append(region)
    return tuple(kept)


def _box(region: Region) -> tuple[int, int, int, int]:
    """First and one past the last row, first and one past the last column."""
    (top, left), (height, width) = region.offset_px, region.mask.shape
    return top, top + height, left, left + width


def _union(best: Region, other: Region) -> Region:
    top, bottom, left, right = (
        pick(x, y) for pick, x, y in zip((min, max, min, max), _box(best), _box(other), strict=True)
    )
    mask = np.zeros((bottom - top, right - left), np.bool_)
    for item in (best, other):
        row, column = item.offset_px[0] - top, item.offset_px[1] - left
        mask[row : row + item.mask.shape[0], column : column + item.mask.shape[1]] |= item.mask
    return replace(best, mask=mask, offset_px=(top, left))
