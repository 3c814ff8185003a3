"""Pictures for people: the image with what was found drawn on it, and all of a study on one sheet.

In: a decoded image and its findings. Out: PNG bytes, the same bytes for the same input. For the
dashboard, the demo and `sentinode analyze`; archives get result objects instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from io import BytesIO

from PIL import Image

from models.contract import BreastImage
from workers.findings import Finding
from workers.pictures.overlay import draw_overlay

_LONGEST_SIDE_PX = 1400
_GAP_PX = 20


def overlay_picture(image: BreastImage, findings: Sequence[Finding]) -> bytes:
    """Return a PNG of the image with contours, labels (kind, score, long axis) and a legend."""
    return _png(draw_overlay(image, findings, longest_side_px=_LONGEST_SIDE_PX))


def contact_sheet(pictures: Iterable[bytes]) -> bytes:
    """Return one PNG with all pictures in a grid, in reading order, each as large as the others.

    Raises ValueError where there is no picture.
    """
    opened = [Image.open(BytesIO(picture)).convert("RGB") for picture in pictures]
    if not opened:
        raise ValueError("a contact sheet needs at least one picture")
    columns = math.ceil(math.sqrt(len(opened)))
    rows = math.ceil(len(opened) / columns)
    # The sheet stays as large as two full pictures, however many it holds.
    shrink = min(1.0, 2 / columns)
    width = round(max(picture.width for picture in opened) * shrink)
    height = round(max(picture.height for picture in opened) * shrink)
    size = (columns * (width + _GAP_PX) + _GAP_PX, rows * (height + _GAP_PX) + _GAP_PX)
    sheet = Image.new("RGB", size, (0, 0, 0))
    for number, picture in enumerate(opened):
        picture.thumbnail((width, height), Image.Resampling.LANCZOS)
        row, column = divmod(number, columns)
        x = _GAP_PX + column * (width + _GAP_PX) + (width - picture.width) // 2
        y = _GAP_PX + row * (height + _GAP_PX) + (height - picture.height) // 2
        sheet.paste(picture, (x, y))
    return _png(sheet)


def _png(picture: Image.Image) -> bytes:
    stream = BytesIO()
    picture.save(stream, "PNG", compress_level=6)
    return stream.getvalue()
