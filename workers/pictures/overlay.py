"""The image with what was found drawn on it: outlines, labels, legend, notice.

In: a decoded image and its findings. Out: an RGB picture, the same for the same input. No patient
data is drawn, and every picture says that it is for research use only. Sizes named `_PX` hold for a
picture with a longest side of 1400 pixels; larger ones are drawn larger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.contract import BreastImage, FindingKind
from workers.dicom.codes import FINDING_LABEL
from workers.dicom.equipment import RESEARCH_USE_ONLY
from workers.findings import Finding
from workers.pictures.palette import FAINT, GROUND, RGB_OF_KIND, TEXT, WARNING_RGB
from workers.pictures.placement import Box, free_place, grown
from workers.pictures.typesetting import font, text_size, wrapped

_DESIGNED_FOR_PX = 1400
# Small ultrasound images are enlarged so that labels do not hide them, but pixels stay pixels.
_LARGEST_ENLARGEMENT = 2.0
_NARROWEST_PX = 760  # what legend and notice need side by side
_FOOTER_PX = 76
_NOTE_PX = 30
_MARGIN_PX = 20
_LABEL_GAP_PX = 8
_LABEL_MARGIN_PX = 4
# Findings drawn smaller than this also get a frame around them, or nobody would see them.
_SMALL_PX = 22
_HALO_PX, _LINE_PX = 5, 2
# Of pixels of any picture: the mask's staircase becomes strokes, which take a tenth of the time.
_TOLERANCE_PX = 0.4

_MODALITY = {"MG": "Mammogram", "US": "Ultrasound"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How an image lies in its picture: pixel (x, y) comes to (x * scale + left, y * scale).

    `unit`: what one pixel of the design is here. `shape`: rows and columns without the footer.
    """

    scale: float
    left: int
    unit: float
    shape: tuple[int, int]

    def px(self, designed: float) -> int:
        """A length of the design in pixels of this picture."""
        return round(designed * self.unit)

    def box_of(self, finding: Finding) -> Box:
        """The finding's box in the picture."""
        x0, y0, x1, y1 = (value * self.scale for value in finding.box_px)
        return (
            math.floor(x0) + self.left,
            math.floor(y0),
            math.ceil(x1) + self.left,
            math.ceil(y1),
        )


def layout_of(shape: tuple[int, int], longest_side_px: int) -> Layout:
    """The layout of an image of `shape` (rows, columns) with at most that many pixels a side."""
    scale = min(longest_side_px / max(shape), _LARGEST_ENLARGEMENT)
    rows, columns = (max(1, round(side * scale)) for side in shape)
    unit = max(1.0, max(rows, columns) / _DESIGNED_FOR_PX)
    left = max(0, round(_NARROWEST_PX * unit) - columns) // 2
    return Layout(scale, left, unit, (rows, columns + 2 * left))


def draw_overlay(
    image: BreastImage,
    findings: Sequence[Finding],
    *,
    longest_side_px: int,
    notes: Sequence[str] = (),
) -> Image.Image:
    """The image with outlines, labels (kind, score, long axis), a legend, and notes below.

    `notes`: what a reader must know besides, each on lines of its own, in the warning colour.
    """
    layout = layout_of((image.pixels.shape[0], image.pixels.shape[1]), longest_side_px)
    canvas = _scaled(image.pixels, layout)
    for finding in findings:
        _draw_outline(canvas, finding, layout)
    rows, width = layout.shape
    text = [
        line
        for note in notes
        for line in wrapped(note, width - 2 * layout.px(_MARGIN_PX), 0.85 * layout.unit)
    ]
    height = rows + layout.px(_FOOTER_PX) + len(text) * layout.px(_NOTE_PX)
    picture = Image.new("RGB", (width, height), GROUND)
    picture.paste(Image.fromarray(canvas), (0, 0))
    draw = ImageDraw.Draw(picture, "RGBA")
    _draw_labels(draw, findings, layout)
    _draw_footer(draw, image, findings, layout, marked=not notes)
    for number, line in enumerate(text):
        y = rows + layout.px(_FOOTER_PX) + (number + 0.5) * layout.px(_NOTE_PX)
        draw.text(
            (layout.px(_MARGIN_PX), y), line, WARNING_RGB, font(0.85 * layout.unit), anchor="lm"
        )
    return picture


def _scaled(pixels: NDArray[np.float32], layout: Layout) -> NDArray[np.uint8]:
    """(rows, columns) float -> (rows, columns, 3) RGB bytes, with black beside a narrow image."""
    rows, width = layout.shape
    how = cv2.INTER_AREA if layout.scale < 1 else cv2.INTER_CUBIC
    grey = cv2.resize(pixels, (width - 2 * layout.left, rows), interpolation=how)
    # In place: these are megabytes.
    np.clip(grey, 0, 1, out=grey)
    np.multiply(grey, 255, out=grey)
    np.rint(grey, out=grey)
    sides = layout.left
    padded = cv2.copyMakeBorder(
        grey.astype(np.uint8), 0, 0, sides, sides, cv2.BORDER_CONSTANT, value=(0,)
    )
    return np.asarray(cv2.cvtColor(padded, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def _draw_outline(canvas: NDArray[np.uint8], finding: Finding, layout: Layout) -> None:
    """All parts of the mask, along pixel edges, with a dark halo."""
    bits = 4  # OpenCV's fixed point: sixteenths of a pixel
    shift = np.array([layout.left, 0])
    outlines = [np.array(line) * layout.scale + shift for line in finding.outlines_px]
    lines = [
        cv2.approxPolyDP(line.astype(np.float32), _TOLERANCE_PX, closed=True) for line in outlines
    ]
    x0, y0, x1, y1 = finding.box_px
    if max(x1 - x0, y1 - y0) * layout.scale < layout.px(_SMALL_PX):
        x0, y0, x1, y1 = grown(layout.box_of(finding), layout.px(_LABEL_GAP_PX))
        lines.append(np.array([[[x0, y0]], [[x1, y0]], [[x1, y1]], [[x0, y1]]], float))
    fixed = [np.round(line * (1 << bits)).astype(np.int32) for line in lines]
    for colour, thickness in (((0, 0, 0), _HALO_PX), (RGB_OF_KIND[finding.kind], _LINE_PX)):
        cv2.polylines(canvas, fixed, True, colour, layout.px(thickness), cv2.LINE_AA, bits)


def _draw_labels(draw: ImageDraw.ImageDraw, findings: Sequence[Finding], layout: Layout) -> None:
    """Best score first, so that the best label gets the best place."""
    taken: list[Box] = []
    outlines = [grown(layout.box_of(finding), layout.px(4)) for finding in findings]
    for index in sorted(range(len(findings)), key=lambda each: -findings[each].score):
        text = _label(findings[index])
        width, height = text_size(text, layout.unit)
        box = free_place(
            outlines[index],
            (width + layout.px(28), height + layout.px(14)),
            layout.shape,
            [*taken, *(box for each, box in enumerate(outlines) if each != index)],
            gap=layout.px(_LABEL_GAP_PX),
            margin=layout.px(_LABEL_MARGIN_PX),
        )
        taken.append(box)
        _draw_label(draw, text, box, RGB_OF_KIND[findings[index].kind], layout)


def _draw_label(
    draw: ImageDraw.ImageDraw, text: str, box: Box, colour: tuple[int, int, int], layout: Layout
) -> None:
    x0, y0, _, y1 = box
    px = layout.px
    draw.rounded_rectangle(box, px(6), fill=(*GROUND, 215))
    draw.rounded_rectangle((x0 + px(5), y0 + px(6), x0 + px(9), y1 - px(6)), px(2), fill=colour)
    draw.text((x0 + px(18), (y0 + y1) / 2), text, TEXT, font(layout.unit), anchor="lm")


def _draw_footer(
    draw: ImageDraw.ImageDraw,
    image: BreastImage,
    findings: Sequence[Finding],
    layout: Layout,
    *,
    marked: bool,
) -> None:
    """What image it is and what it is for; on the right the kinds that were found.

    `marked`: whether "Nothing marked" may be said, which it may not where a model failed.
    """
    (top, width), unit = layout.shape, layout.unit
    first, second = (top + layout.px(_FOOTER_PX) * part for part in (0.31, 0.71))
    margin = layout.px(_MARGIN_PX)
    title = " ".join(filter(None, [_MODALITY[image.modality], image.laterality, image.view]))
    draw.text((margin, first), title, TEXT, font(unit), anchor="lm")
    draw.text((margin, second), RESEARCH_USE_ONLY, FAINT, font(0.85 * unit), anchor="lm")
    right = width - margin
    if not findings and marked:
        draw.text((right, first), "Nothing marked", FAINT, font(unit), anchor="rm")
    kinds = [kind for kind in FindingKind if any(finding.kind is kind for finding in findings)]
    for kind in reversed(kinds):
        count = sum(finding.kind is kind for finding in findings)
        text = f"{FINDING_LABEL[kind]}  {count}"
        length = draw.textlength(text, font(0.95 * unit))
        middle = first if right - length > width * 0.32 else second
        draw.text((right, middle), text, TEXT, font(0.95 * unit), anchor="rm")
        right = round(right - length - layout.px(22))
        half, side = layout.px(7), layout.px(14)
        draw.rounded_rectangle(
            (right, middle - half, right + side, middle + half),
            layout.px(4),
            fill=RGB_OF_KIND[kind],
        )
        right -= layout.px(26)


def _label(finding: Finding) -> str:
    text = f"{FINDING_LABEL[finding.kind]}  {finding.score:.2f}"
    if finding.long_axis_mm is not None:
        text += f"  {finding.long_axis_mm:.0f} mm"
    return text
