"""Graphic layers and annotations of a presentation state (PS3.3 C.10.5, C.10.7).

In: the runs on one image. Out: highdicom's objects: per kind of finding a layer with the outlines
in pixel coordinates and a label beside each, and a layer with the notice and what failed. What must
hold: no label leaves the image, and none hides a finding while there is room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from highdicom.color import CIELabColor
from highdicom.pr import GraphicAnnotation, GraphicLayer, GraphicObject, TextObject
from pydicom.dataset import Dataset

from models.contract import FindingKind
from workers.dicom import codes, equipment
from workers.dicom.graphic_data import Points, closed, set_points
from workers.findings import Finding, RunOutcome
from workers.pictures.palette import RGB, RGB_OF_KIND, WARNING_RGB
from workers.pictures.placement import Box, free_place, grown, overlap

_LAYER: Final[dict[FindingKind, str]] = {
    FindingKind.MASS: "AI_MASS",
    FindingKind.CALCIFICATION_CLUSTER: "AI_CALCIFICATION",
    FindingKind.ARTERIAL_CALCIFICATION: "AI_ARTERIAL",
}
_NOTICE_LAYER: Final = "AI_NOTICE"
_WHITE: Final = 0xFFFF  # P-value; mammography is read on grey displays

# A line of text is this part of the image's shorter side, and a character this part of the line:
# what workstations fill a bounding box with. Two lines of label.
_LINE_PART: Final = 0.022
_CHARACTER_PART: Final = 0.6
_GAP_PART: Final = 0.5
# The notice's lines, as parts of the displayed area.
_NOTICE_LINE: Final = 0.025
_NOTICE_MARGIN: Final = 0.01
# A reason may be long; the report has all of it.
_LONGEST_LINE: Final = 120


def layers_of(findings: Sequence[Finding]) -> list[GraphicLayer]:
    """One per kind that occurs, so that each can be switched off, and one for the notice."""
    found = {finding.kind for finding in findings}
    kinds = [kind for kind in FindingKind if kind in found]
    layers = [
        _layer(_LAYER[kind], order, codes.FINDING_LABEL[kind], RGB_OF_KIND[kind])
        for order, kind in enumerate(kinds, start=1)
    ]
    notice = "Research use notice and failed models"
    return [*layers, _layer(_NOTICE_LAYER, len(layers) + 1, notice, WARNING_RGB)]


def _layer(name: str, order: int, description: str, rgb: RGB) -> GraphicLayer:
    layer = GraphicLayer(name, order, description, CIELabColor.from_rgb(*rgb))
    layer.GraphicLayerRecommendedDisplayGrayscaleValue = _WHITE
    return layer


def annotations_of(
    runs: Sequence[RunOutcome], header: Dataset, layers: Sequence[GraphicLayer]
) -> list[GraphicAnnotation]:
    """What is drawn on the image of `header`, layer by layer; `layers` as `layers_of` gave them.

    Raises ValueError when a finding leaves the image.
    """
    findings = [found for run in runs for found in run.findings]
    shape = (int(header.Rows), int(header.Columns))
    notice = _notice_lines(runs)
    top = _notice_top(len(notice), findings, shape)
    boxes = _label_boxes(findings, shape, _strip(top, len(notice), shape))
    annotations = []
    for layer in layers[:-1]:
        chosen = [n for n, found in enumerate(findings) if _LAYER[found.kind] == layer.GraphicLayer]
        annotations.append(
            GraphicAnnotation(
                referenced_images=[header],
                graphic_layer=layer,
                graphic_objects=[line for n in chosen for line in _outlines(findings[n])],
                text_objects=[_label(findings[n], boxes[n]) for n in chosen],
            )
        )
    last = GraphicAnnotation(
        referenced_images=[header],
        graphic_layer=layers[-1],
        text_objects=[
            _notice_object(text, top + number * _NOTICE_LINE) for number, text in enumerate(notice)
        ],
    )
    return [*annotations, last]


class _Outline(GraphicObject):
    """One part of a finding: as `whole`, with points of its own.

    A cluster has dozens of parts; values that they share are looked at once.
    """

    def __init__(self, whole: GraphicObject, points: Points) -> None:
        Dataset.__init__(self, dict(whole.items()))
        set_points(self, points)


def _outlines(found: Finding) -> list[_Outline]:
    """Closed POLYLINEs, one for each part of the mask."""
    whole = GraphicObject(
        graphic_type="POLYLINE",
        graphic_data=np.reshape(found.box_px, (2, 2)),
        units="PIXEL",
        tracking_id=_tracking_id(found),
        tracking_uid=found.tracking_uid,
    )
    return [_Outline(whole, closed(part)) for part in found.outlines_px]


def _label(found: Finding, box: Box) -> TextObject:
    x0, y0, x1, y1 = found.box_px
    return TextObject(
        text_value=_label_text(found),
        units="PIXEL",
        bounding_box=box,
        text_justification="LEFT",
        # The nearest point of the finding's box; a line to it would only hide what is between.
        anchor_point=(min(max(box[0], x0), x1), min(max(box[1], y0), y1)),
        anchor_point_visible=False,
        tracking_id=_tracking_id(found),
        tracking_uid=found.tracking_uid,
    )


def _label_text(found: Finding) -> str:
    name = f"{codes.FINDING_LABEL[found.kind]} {found.number}, {100 * found.score:.0f} %"
    return f"{name}\r\n{found.model} {found.model_version}"


def _tracking_id(found: Finding) -> str:
    name = f"{codes.FINDING_LABEL[found.kind]} {found.number}"
    return f"{name}, {found.model} {found.model_version}"[:64]


def _label_boxes(findings: Sequence[Finding], shape: tuple[int, int], notice: Box) -> list[Box]:
    """A place for each label; the best score chooses first."""
    line = max(1.0, min(shape) * _LINE_PART)
    gap = math.ceil(line * _GAP_PART)
    outlines = [grown(found.box_px, gap // 2) for found in findings]
    places: dict[int, Box] = {}
    for index in sorted(range(len(findings)), key=lambda n: -findings[n].score):
        lines = _label_text(findings[index]).split("\r\n")
        width = math.ceil(max(len(text) for text in lines) * line * _CHARACTER_PART)
        size = (
            min(width, shape[1] - 2 * gap),
            min(math.ceil(len(lines) * line), shape[0] - 2 * gap),
        )
        others = [notice, *places.values(), *(box for n, box in enumerate(outlines) if n != index)]
        places[index] = free_place(outlines[index], size, shape, others, gap=gap, margin=gap)
    return [places[n] for n in range(len(findings))]


def _notice_lines(runs: Sequence[RunOutcome]) -> list[str]:
    """What the marks are for, and which models did not assess the image."""
    failed = [run for run in runs if run.error is not None]
    lines = [equipment.RESEARCH_USE_ONLY]
    if failed:
        count = f"{len(failed)} of {len(runs)}"
        lines.append(f"AI INCOMPLETE: {count} models did not assess this image")
    return [*lines, *(_failure(run)[:_LONGEST_LINE] for run in failed)]


def _notice_top(lines: int, findings: Sequence[Finding], shape: tuple[int, int]) -> float:
    """Where the notice begins, of the displayed area's height, or as little on findings as can be.

    Below; where findings are there, above; else as near to the lower edge as it is free.
    """
    lowest = 1 - _NOTICE_MARGIN - lines * _NOTICE_LINE
    steps = max(0, math.floor((lowest - _NOTICE_MARGIN) / _NOTICE_LINE))
    tops = [lowest, _NOTICE_MARGIN, *(lowest - step * _NOTICE_LINE for step in range(1, steps))]
    return min(
        tops,
        key=lambda top: sum(overlap(_strip(top, lines, shape), found.box_px) for found in findings),
    )


def _strip(top: float, lines: int, shape: tuple[int, int]) -> Box:
    """The pixels that a notice of so many lines lies on."""
    rows, columns = shape
    return 0, math.floor(top * rows), columns, math.ceil((top + lines * _NOTICE_LINE) * rows)


def _notice_object(text: str, top: float) -> TextObject:
    return TextObject(
        text_value=text,
        units="DISPLAY",
        bounding_box=(_NOTICE_MARGIN, top, 1 - _NOTICE_MARGIN, top + _NOTICE_LINE),
        text_justification="CENTER",
    )


def _failure(run: RunOutcome) -> str:
    state = "DECLINED" if run.declined else "FAILED"
    reason = " ".join(str(run.error).split())
    return f"{run.model} {run.model_version} {state}: {reason}"
