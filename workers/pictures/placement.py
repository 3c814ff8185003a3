"""Where a label can stand: beside what it names, inside the picture, on nothing else.

Boxes are x0, y0, x1, y1 in whole pixels of the picture, x1 and y1 exclusive.
"""

from __future__ import annotations

from collections.abc import Sequence

Box = tuple[int, int, int, int]

# How many rows above and below the outline are tried before labels may lie on each other.
_ROWS_TRIED = 8


def free_place(
    outline: Box,
    size: tuple[int, int],
    shape: tuple[int, int],
    others: Sequence[Box],
    *,
    gap: int,
    margin: int,
) -> Box:
    """A place of `size` (width, height) beside `outline`, in a picture of `shape` (rows, columns).

    The nearest one that touches neither the outline nor any of `others`; where there is none, the
    one that covers least of them. `gap`: to the outline; `margin`: to the edge of the picture. A
    label that is larger than the picture begins at its top left.
    """
    x0, y0, x1, y1 = outline
    width, height = size
    step = height + gap // 2
    starts = [(x0, y0 - gap - height), (x0, y1 + gap), (x1 + gap, y0), (x0 - gap - width, y0)]
    starts += [(x0, y1 + gap + row * step) for row in range(1, _ROWS_TRIED)]
    starts += [(x0, y0 - gap - height - row * step) for row in range(1, _ROWS_TRIED)]
    places = [inside((x, y, x + width, y + height), shape, margin) for x, y in starts]
    taken = [outline, *others]
    free = (place for place in places if not any(overlap(place, each) for each in taken))
    return next(free, None) or min(
        places, key=lambda place: sum(overlap(place, each) for each in taken)
    )


def inside(box: Box, shape: tuple[int, int], margin: int) -> Box:
    """The box moved into a picture of `shape` (rows, columns)."""
    rows, columns = shape
    width, height = box[2] - box[0], box[3] - box[1]
    x = max(margin, min(box[0], columns - margin - width))
    y = max(margin, min(box[1], rows - margin - height))
    return x, y, x + width, y + height


def grown(box: Box, by: int) -> Box:
    """The box with `by` pixels more on every side."""
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def overlap(one: Box, other: Box) -> int:
    """Shared area in pixels."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)
