"""The display shutter of an image (PS3.3 C.7.6.11), repeated in a presentation state.

In: a presentation state and the header of its image. Out: the state with the same shutter: under a
state, viewers show no shutter that the state does not have (PS3.4 N.2). What must hold: a shape
that lacks a value, or has one that is no number, stays behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from workers.dicom.numbers import finite_number

_WHITE, _BLACK = 0xFFFF, 0  # P-values
_BLACK_CIELAB: Final = [0, 0x8080, 0x8080]
# What each shape of the image's own shutter is made of (table C.7-17), with how many values.
_SHAPES: Final[Mapping[str, Mapping[str, int]]] = {
    "RECTANGULAR": {
        "ShutterLeftVerticalEdge": 1,
        "ShutterRightVerticalEdge": 1,
        "ShutterUpperHorizontalEdge": 1,
        "ShutterLowerHorizontalEdge": 1,
    },
    "CIRCULAR": {"CenterOfCircularShutter": 2, "RadiusOfCircularShutter": 1},
    "POLYGONAL": {"VerticesOfThePolygonalShutter": 6},
}
_LARGEST: Final = 2**31 - 1  # IS


def copy_shutter(state: Dataset, header: Dataset, *, is_grey: bool) -> None:
    """Repeat the shutter of the image in `state`; a shape that lacks a value stays behind."""
    stated = header.get("ShutterShape")
    names = list(stated) if isinstance(stated, MultiValue) else [stated]
    shapes = [shape for shape in _SHAPES if shape in names and _is_whole(header, shape)]
    if not shapes:
        return
    state.ShutterShape = shapes
    for shape in shapes:
        for keyword in _SHAPES[shape]:
            setattr(state, keyword, _numbers(header, keyword))
    value = _numbers(header, "ShutterPresentationValue")
    state.ShutterPresentationValue = value if _are_p_values(value, 1) else _BLACK
    if not is_grey:
        colour = _numbers(header, "ShutterPresentationColorCIELabValue")
        is_colour = _are_p_values(colour, len(_BLACK_CIELAB))
        state.ShutterPresentationColorCIELabValue = colour if is_colour else _BLACK_CIELAB


def _is_whole(header: Dataset, shape: str) -> bool:
    """Whether everything is there that a shape of this name is made of."""
    counts = {keyword: len(_numbers(header, keyword)) for keyword in _SHAPES[shape]}
    if shape == "POLYGONAL":
        # As many corners as it likes, each with row and column.
        return all(n >= _SHAPES[shape][keyword] and n % 2 == 0 for keyword, n in counts.items())
    return counts == _SHAPES[shape]


def _are_p_values(values: Sequence[int], count: int) -> bool:
    return len(values) == count and all(0 <= value <= _WHITE for value in values)


def _numbers(header: Dataset, keyword: str) -> list[int]:
    """The whole numbers of an attribute; none where one of them is none."""
    stated = header.get(keyword)
    values = stated if isinstance(stated, MultiValue | list) else [stated]
    numbers = [finite_number(value) for value in values]
    if any(number is None or abs(number) > _LARGEST for number in numbers):
        return []
    return [round(number) for number in numbers if number is not None]
