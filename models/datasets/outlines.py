"""Outlines that readers drew, as masks.

In: polygons, ellipses and rectangles in image px, x to the right and y down, pixel centres at whole
numbers. Out: lesions. What must hold: what lies left of or above the image is cut off; what
lies right of or below it is cut off where lesions are painted.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.contract import FindingKind
from models.datasets.cases import Label, Lesion
from models.datasets.pictures import lesion_of

# No picture is larger, and the mask that a slip of the pen asks for would fill the memory.
LARGEST_PX = 16_384
LARGEST_RADIUS_PX = 4_096


# Of a picture with an outline that is empty or wholly beside it.
NOWHERE = "an outline encloses nothing of the picture: its lesions are unknown"


class OutlineError(ValueError):
    """An outline that cannot be meant."""


def polygon(kind: FindingKind, points: ArrayLike, label: Label | None = None) -> Lesion | None:
    """A closed polygon of (x, y) rows; None where nothing of it lies inside the image."""
    exact = np.asarray(points, np.float64).reshape(-1, 2)
    _refuse_endless(exact)
    corners = np.rint(exact).astype(np.int32)
    if not len(corners) or (corners.max(axis=0) < 0).any():
        return None
    left, top = np.maximum(corners.min(axis=0), 0)
    right, bottom = corners.max(axis=0)
    canvas = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(canvas, [corners - np.array([left, top], np.int32)], (1,))
    return _placed(canvas, (int(top), int(left)), kind, label)


def ellipse(
    kind: FindingKind,
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float = 0.0,
    label: Label | None = None,
) -> Lesion | None:
    """`centre` and `radii` as (x, y); `angle` in radians, clockwise as the image is seen."""
    _refuse_endless([*centre, angle])
    _refuse_endless(radii, LARGEST_RADIUS_PX)
    reach = int(np.ceil(max(radii))) + 1
    column, row = round(centre[0]), round(centre[1])
    line = np.arange(-reach, reach + 1)
    y, x = line[:, np.newaxis] + (row - centre[1]), line + (column - centre[0])
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inside = (along / max(radii[0], 0.5)) ** 2 + (across / max(radii[1], 0.5)) ** 2 <= 1.0
    top, left = max(0, row - reach), max(0, column - reach)
    return _placed(inside[top - row + reach :, left - column + reach :], (top, left), kind, label)


def rectangle(
    kind: FindingKind, box: tuple[float, float, float, float], label: Label | None = None
) -> Lesion | None:
    """`box`: x, y of the top left corner, width, height."""
    _refuse_endless(box)
    x, y, width, height = box
    left, top = max(0, round(x)), max(0, round(y))
    size = (max(0, round(y + height) - top), max(0, round(x + width) - left))
    return _placed(np.ones(size, np.bool_), (top, left), kind, label)


def within(lesion: Lesion | None, size: tuple[int, int] | None) -> Lesion | None:
    """What of a lesion lies inside a picture of (rows, columns), if anything does.

    Of a picture whose size nobody knows all of it.
    """
    if lesion is None or size is None:
        return lesion
    (top, left), (rows, columns) = lesion.offset_px, size
    inside = lesion.mask[: max(0, rows - top), : max(0, columns - left)]
    return _placed(inside, lesion.offset_px, lesion.kind, lesion.label)


def _refuse_endless(numbers: ArrayLike, largest_px: float = LARGEST_PX) -> None:
    """Raise OutlineError for what is no number, or outside of every picture."""
    values = np.asarray(numbers, np.float64)
    wrong = values[~(np.abs(values) <= largest_px)]  # NaN is not below anything
    if wrong.size:
        raise OutlineError(f"an outline has the number {wrong[0]:g}, larger than any picture")


def _placed(
    crop: NDArray[np.generic], offset_px: tuple[int, int], kind: FindingKind, label: Label | None
) -> Lesion | None:
    lesion = lesion_of(crop, kind, label)
    if lesion is None:
        return None
    top, left = (a + b for a, b in zip(lesion.offset_px, offset_px, strict=True))
    return Lesion(kind, lesion.mask, (top, left), label)
