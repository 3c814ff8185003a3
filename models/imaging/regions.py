"""From a mask over a box of the network's input to a region of image pixels.

In: probabilities on a small grid, their box, the placement. Out: the contract's `Region`: a tight
bool crop inside the image. Each image pixel takes the probability at its centre, bilinearly between
the grid's cells, so that the outline is as smooth as the grid allows (He et al. do the same).
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import FindingKind, Region
from models.imaging.geometry import Placement

MASK_THRESHOLD = 0.5


class Placed(Protocol):
    """A mask crop (height, width) whose top left pixel is image pixel `offset_px` (row, column)."""

    @property
    def mask(self) -> NDArray[np.bool_]: ...

    @property
    def offset_px(self) -> tuple[int, int]: ...


def region(
    kind: FindingKind,
    score: float,
    probabilities: NDArray[np.float32],
    box: tuple[float, float, float, float],
    placement: Placement,
) -> Region | None:
    """The region of one detection; None where its box misses the image.

    `probabilities` (rows, columns) cover `box` (x0, y0, x1, y1) in input pixels. A mask that stays
    below the threshold everywhere is cut at half its peak: the detection stands, however faint.
    """
    x0, y0, x1, y1 = placement.box_to_image(box)
    rows, columns = placement.image_px
    top, bottom = max(0, int(np.floor(y0))), min(rows, int(np.ceil(y1)))
    left, right = max(0, int(np.floor(x0))), min(columns, int(np.ceil(x1)))
    if top >= bottom or left >= right or x1 <= x0 or y1 <= y0:
        return None
    rows_at = _cells(np.arange(top, bottom), y0, y1, probabilities.shape[0])
    columns_at = _cells(np.arange(left, right), x0, x1, probabilities.shape[1])
    painted = cv2.remap(
        np.ascontiguousarray(probabilities, np.float32),
        np.tile(columns_at, (len(rows_at), 1)),
        np.tile(rows_at[:, np.newaxis], (1, len(columns_at))),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    mask = painted >= min(MASK_THRESHOLD, 0.5 * float(painted.max()))
    return _tight(kind, score, mask, (top, left))


def _cells(pixels: NDArray[np.int_], low: float, high: float, count: int) -> NDArray[np.float32]:
    """Grid positions of pixel centres; the centre of the first cell is 0."""
    return (((pixels + 0.5 - low) / (high - low)) * count - 0.5).astype(np.float32)


def _tight(
    kind: FindingKind, score: float, mask: NDArray[np.bool_], offset_px: tuple[int, int]
) -> Region:
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    crop = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    return Region(kind, score, crop, (offset_px[0] + int(rows[0]), offset_px[1] + int(columns[0])))


def intersection_px(a: Placed, b: Placed) -> int:
    """Pixels that both masks hold."""
    top, left = (max(x, y) for x, y in zip(a.offset_px, b.offset_px, strict=True))
    bottom = min(a.offset_px[0] + a.mask.shape[0], b.offset_px[0] + b.mask.shape[0])
    right = min(a.offset_px[1] + a.mask.shape[1], b.offset_px[1] + b.mask.shape[1])
    if bottom <= top or right <= left:
        return 0
    crops = [
        item.mask[
            top - item.offset_px[0] : bottom - item.offset_px[0],
            left - item.offset_px[1] : right - item.offset_px[1],
        ]
        for item in (a, b)
    ]
    return int(np.count_nonzero(crops[0] & crops[1]))
