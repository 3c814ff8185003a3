"""Pictures for people: the image with what was found drawn on it, and all of a study on one sheet.

In: a decoded image and its findings. Out: PNG bytes, the same bytes for the same input. For the
dashboard, the demo and `sentinode analyze`; the PACS gets SEG and SR instead. No patient data is
drawn, and every picture says that it is for research use only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.contract import BreastImage, FindingKind
from workers.findings import Finding

RESEARCH_USE = "Research use only. Not a medical device."

_LONGEST_SIDE_PX = 1400
# Small ultrasound images are enlarged so that labels do not hide them, but pixels stay pixels.
_LARGEST_ENLARGEMENT = 2.0
_NARROWEST_PX = 760  # what legend and notice need side by side
_FOOTER_PX = 76
_MARGIN_PX = 20
_FONT_PX = 21
_LABEL_GAP_PX = 8
# Findings drawn smaller than this also get a frame around them, or nobody would see them.
_SMALL_PX = 22

_GROUND = (13, 15, 18)
_TEXT = (232, 234, 237)
_FAINT = (150, 156, 164)
# Distinguishable with any colour vision, and on grey of any brightness thanks to the dark halo.
_COLOUR = {
    FindingKind.MASS: (255, 176, 0),
    FindingKind.CALCIFICATION_CLUSTER: (64, 208, 255),
    FindingKind.ARTERIAL_CALCIFICATION: (255, 110, 180),
}
_NAME = {
    FindingKind.MASS: "Mass",
    FindingKind.CALCIFICATION_CLUSTER: "Calcification cluster",
    FindingKind.ARTERIAL_CALCIFICATION: "Arterial calcification",
}
_MODALITY = {"MG": "Mammogram", "US": "Ultrasound"}

_Box = tuple[int, int, int, int]


def overlay_picture(image: BreastImage, findings: Sequence[Finding]) -> bytes:
    """Return a PNG of the image with contours, labels (kind, score, long axis) and a legend."""
    rows, columns = image.pixels.shape
    scale = min(_LONGEST_SIDE_PX / max(rows, columns), _LARGEST_ENLARGEMENT)
    canvas = _scaled(image.pixels, scale)
    left = max(0, _NARROWEST_PX - canvas.shape[1]) // 2
    if left:
        canvas = np.pad(canvas, ((0, 0), (left, left), (0, 0)))
    for finding in findings:
        _draw_outline(canvas, finding, scale, left)
    picture = Image.new("RGB", (canvas.shape[1], canvas.shape[0] + _FOOTER_PX), _GROUND)
    picture.paste(Image.fromarray(canvas), (0, 0))
    draw = ImageDraw.Draw(picture, "RGBA")
    _draw_labels(draw, findings, scale, left, (canvas.shape[0], canvas.shape[1]))
    _draw_footer(draw, image, findings, canvas.shape[0], picture.width)
    return _png(picture)


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
    gap = _MARGIN_PX
    size = (columns * (width + gap) + gap, rows * (height + gap) + gap)
    sheet = Image.new("RGB", size, (0, 0, 0))
    for number, picture in enumerate(opened):
        picture.thumbnail((width, height), Image.Resampling.LANCZOS)
        row, column = divmod(number, columns)
        x = gap + column * (width + gap) + (width - picture.width) // 2
        y = gap + row * (height + gap) + (height - picture.height) // 2
        sheet.paste(picture, (x, y))
    return _png(sheet)


def _scaled(pixels: NDArray[np.float32], scale: float) -> NDArray[np.uint8]:
    """(rows, columns) float -> (rows, columns, 3) RGB bytes."""
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(pixels, size, interpolation=how)
    grey = (np.clip(resized, 0, 1) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))


def _draw_outline(canvas: NDArray[np.uint8], finding: Finding, scale: float, left: int) -> None:
    """All parts of the mask, along pixel edges, with a dark halo."""
    bits = 4  # OpenCV's fixed point: sixteenths of a pixel
    top, first = finding.offset_px
    # Doubled, a contour through pixel centres comes close to the pixels' edges.
    doubled = cv2.resize(finding.mask.astype(np.uint8), None, fx=2, fy=2, interpolation=0)
    parts, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    offset = np.array([first + 0.25, top + 0.25])
    lines = [(part / 2 + offset) * scale + (left, 0) for part in parts]
    if max(_side_lengths(finding)) * scale < _SMALL_PX:
        x0, y0, x1, y1 = _grown(_on_canvas(finding, scale, left), _LABEL_GAP_PX)
        lines.append(np.array([[[x0, y0]], [[x1, y0]], [[x1, y1]], [[x0, y1]]], float))
    fixed = [np.round(line * (1 << bits)).astype(np.int32) for line in lines]
    for colour, thickness in (((0, 0, 0), 5), (_COLOUR[finding.kind], 2)):
        cv2.polylines(canvas, fixed, True, colour, thickness, cv2.LINE_AA, bits)


def _draw_labels(
    draw: ImageDraw.ImageDraw,
    findings: Sequence[Finding],
    scale: float,
    left: int,
    shape: tuple[int, int],
) -> None:
    """Best score first, so that the best label gets the best place."""
    taken: list[_Box] = []
    outlines = [_grown(_on_canvas(finding, scale, left), 4) for finding in findings]
    order = sorted(range(len(findings)), key=lambda index: -findings[index].score)
    for index in order:
        text = _label(findings[index])
        width, height = _text_size(draw, text)
        others = [*taken, *(box for each, box in enumerate(outlines) if each != index)]
        size = (width + 28, height + 14)
        box = _free_place(outlines[index], size, shape, others)
        taken.append(box)
        colour = _COLOUR[findings[index].kind]
        draw.rounded_rectangle(box, 6, fill=(*_GROUND, 215))
        draw.rounded_rectangle((box[0] + 5, box[1] + 6, box[0] + 9, box[3] - 6), 2, fill=colour)
        draw.text((box[0] + 18, (box[1] + box[3]) / 2), text, _TEXT, _font(), anchor="lm")


def _free_place(
    outline: _Box, size: tuple[int, int], shape: tuple[int, int], others: Sequence[_Box]
) -> _Box:
    """A place for a label beside its outline, inside the picture, on no other label if possible."""
    x0, y0, x1, y1 = outline
    width, height = size
    gap = _LABEL_GAP_PX
    starts = [(x0, y0 - gap - height), (x0, y1 + gap), (x1 + gap, y0), (x0 - gap - width, y0)]
    starts += [(x0, y1 + gap + step * (height + 4)) for step in range(1, 8)]
    starts += [(x0, y0 - gap - height - step * (height + 4)) for step in range(1, 8)]
    places = [_inside((x, y, x + width, y + height), shape) for x, y in starts]
    for place in places:
        if not any(_overlap(place, other) for other in [outline, *others]):
            return place
    return min(places, key=lambda place: sum(_overlap(place, other) for other in others))


def _draw_footer(
    draw: ImageDraw.ImageDraw,
    image: BreastImage,
    findings: Sequence[Finding],
    top: int,
    width: int,
) -> None:
    first, second = top + _FOOTER_PX * 0.31, top + _FOOTER_PX * 0.71
    title = " ".join(filter(None, [_MODALITY[image.modality], image.laterality, image.view]))
    draw.text((_MARGIN_PX, first), title, _TEXT, _font(), anchor="lm")
    draw.text((_MARGIN_PX, second), RESEARCH_USE, _FAINT, _font(0.85), anchor="lm")
    right = width - _MARGIN_PX
    if not findings:
        draw.text((right, first), "Nothing marked", _FAINT, _font(), anchor="rm")
    kinds = [kind for kind in FindingKind if any(finding.kind is kind for finding in findings)]
    for kind in reversed(kinds):
        count = sum(finding.kind is kind for finding in findings)
        text = f"{_NAME[kind]}  {count}"
        length = draw.textlength(text, _font(0.95))
        middle = first if right - length > width * 0.32 else second
        draw.text((right, middle), text, _TEXT, _font(0.95), anchor="rm")
        right = round(right - length - 22)
        draw.rounded_rectangle((right, middle - 7, right + 14, middle + 7), 4, fill=_COLOUR[kind])
        right -= 26


def _label(finding: Finding) -> str:
    text = f"{_NAME[finding.kind]}  {finding.score:.2f}"
    if finding.long_axis_mm is not None:
        text += f"  {finding.long_axis_mm:.0f} mm"
    return text


def _on_canvas(finding: Finding, scale: float, left: int) -> _Box:
    x0, y0, x1, y1 = (value * scale for value in finding.box_px)
    return (
        math.floor(x0) + left,
        math.floor(y0),
        math.ceil(x1) + left,
        math.ceil(y1),
    )


def _side_lengths(finding: Finding) -> tuple[int, int]:
    x0, y0, x1, y1 = finding.box_px
    return x1 - x0, y1 - y0


def _grown(box: _Box, by: int) -> _Box:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _inside(box: _Box, shape: tuple[int, int]) -> _Box:
    rows, columns = shape
    x = max(4, min(box[0], columns - 4 - (box[2] - box[0])))
    y = max(4, min(box[1], rows - 4 - (box[3] - box[1])))
    return x, y, x + box[2] - box[0], y + box[3] - box[1]


def _overlap(one: _Box, other: _Box) -> int:
    """Shared area in pixels."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)


def _font(size: float = 1.0) -> ImageFont.FreeTypeFont:
    # The face that Pillow carries: the same picture on every machine.
    font = ImageFont.load_default(round(_FONT_PX * size))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _text_size(draw: ImageDraw.ImageDraw, text: str) -> tuple[int, int]:
    left, top, right, bottom = draw.textbbox((0, 0), text, _font())
    return math.ceil(right - left), math.ceil(bottom - top)


def _png(picture: Image.Image) -> bytes:
    stream = BytesIO()
    picture.save(stream, "PNG", compress_level=6)
    return stream.getvalue()
