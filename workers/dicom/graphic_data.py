"""Coordinates of outlines in reports and presentation states: Graphic Data (0070,0022).

In: points (column, row), as PS3.3 C.18.6 counts them. Out: the element. An outline has hundreds of
points, and highdicom and pydicom look at every number of every list that they are given; these are
numbers by construction, so they go into the element as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

# (n, 2): column and row of each point.
Points = NDArray[np.float64]

_TAG: Final = Tag("GraphicData")
_NUMBER_OF_POINTS: Final = Tag("NumberOfGraphicPoints")


def closed(outline: Sequence[tuple[float, float]]) -> Points:
    """The outline with its first point again at its end (PS3.3 C.18.6.1.2, C.10.5.1.2)."""
    return np.array([*outline, outline[0]], dtype=np.float64)


def corners(points: Points) -> Points:
    """The box around the points: what an item is built with, so that its limits are checked."""
    return points if len(points) == 1 else np.stack([points.min(axis=0), points.max(axis=0)])


def set_points(item: Dataset, points: Points) -> None:
    """Give an item that was built with the `corners` of `points` the points themselves."""
    values = points.ravel().tolist()
    item[_TAG] = DataElement(_TAG, "FL", values, already_converted=True)
    if _NUMBER_OF_POINTS in item:
        # A new element: items may share the old one.
        item.add_new(_NUMBER_OF_POINTS, "US", len(points))
