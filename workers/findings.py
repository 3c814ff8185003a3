"""Stage 6: a model's region becomes a finding with geometry, identity and a database row.

In: a `Region` in the image's pixel grid. Out: a `Finding`, and the `FindingRow` that stores it.
What must hold: row and finding are the same thing (exact round trip, mask included); millimetres
exist only where the image gave a spacing; the tracking UID is derived, so a retry finds it again.

Coordinates are those of PS3.3 C.18.6: (x, y) = (column, row), 0.0 is the outer edge of the first
pixel and 0.5 its centre. A contour runs along pixel edges, so it encloses what the mask covers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import FindingKind, ModelOutputError, Region
from node.identifiers import derived_uid
from node.store.tables import FindingRow, ModelRun

# A contour may leave the exact pixel edges by this much; staircases become a few long strokes.
CONTOUR_TOLERANCE_PX = 0.5
_ONE_PART = 2  # labels: that of the part, and 0 for all else

# A closed line of (x, y); the last point is not the first again.
Outline = tuple[tuple[float, float], ...]


# Without slots: there would be no place for what is worked out once.
@dataclass(frozen=True)
class Finding:
    """One region of one model on one image.

    `mask`: bool (height, width), the tight crop whose top left pixel is `offset_px` (row, column).
    `box_px`: x0, y0, x1, y1 of that crop, x1 and y1 exclusive. `contour_px`: outer contour of the
    largest part, not closed. `area_px`, `area_mm2` and the axes cover all parts of the mask.
    """

    model: str
    model_version: str
    source_sop_uid: str
    number: int
    kind: FindingKind
    laterality: str | None
    view: str | None
    score: float
    mask: NDArray[np.bool_]
    offset_px: tuple[int, int]
    box_px: tuple[int, int, int, int]
    contour_px: Outline
    area_px: int
    area_mm2: float | None
    long_axis_mm: float | None
    short_axis_mm: float | None
    tracking_uid: str

    @cached_property
    def outlines_px(self) -> tuple[Outline, ...]:
        """Outer contours of all parts, largest part first: the first is `contour_px`."""
        n_labels, _ = cv2.connectedComponents(self.mask.astype(np.uint8), connectivity=8)
        if n_labels == _ONE_PART:
            return (self.contour_px,)
        others = list(_parts(self.mask, *self.offset_px))[1:]
        return (self.contour_px, *(_outline(*part) for part in others))


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """One model on one image: findings and probabilities, or the error that prevented them.

    `declined`: the error says that the image is none for this model (no breast in it, say).
    `away`: the model did not answer for so long that the study is reported without it.
    """

    model: str
    model_version: str
    source_sop_uid: str
    error: str | None
    seconds: float
    findings: tuple[Finding, ...]
    probabilities: Mapping[str, float]
    declined: bool = False
    away: bool = False


def measure(
    region: Region,
    *,
    model: str,
    model_version: str,
    source_sop_uid: str,
    study_uid: str,
    revision: int,
    number: int,
    laterality: str | None,
    view: str | None,
    spacing_mm: tuple[float, float] | None,
) -> Finding:
    """Measure one region. Raises ModelOutputError when its mask is empty.

    `spacing_mm`: (between rows, between columns), or None: then no millimetres are reported.
    `number`: 1-based within the run, best score first.
    """
    mask, (row, column) = _tight_crop(region)
    height, width = mask.shape
    area_px = int(np.count_nonzero(mask))
    long_axis_mm, short_axis_mm = _axes_mm(mask, spacing_mm) if spacing_mm else (None, None)
    return Finding(
        model=model,
        model_version=model_version,
        source_sop_uid=source_sop_uid,
        number=number,
        kind=region.kind,
        laterality=laterality,
        view=view,
        score=float(region.score),
        mask=mask,
        offset_px=(row, column),
        box_px=(column, row, column + width, row + height),
        contour_px=_contour(mask, row, column),
        area_px=area_px,
        area_mm2=area_px * spacing_mm[0] * spacing_mm[1] if spacing_mm else None,
        long_axis_mm=long_axis_mm,
        short_axis_mm=short_axis_mm,
        tracking_uid=derived_uid(
            "finding", study_uid, source_sop_uid, revision, model, model_version, number
        ),
    )


def to_row(finding: Finding) -> FindingRow:
    """The row of a finding, not yet attached to its model run."""
    return FindingRow(
        number=finding.number,
        kind=finding.kind.value,
        laterality=finding.laterality,
        view=finding.view,
        score=finding.score,
        box_px=list(finding.box_px),
        contour_px=[list(point) for point in finding.contour_px],
        area_px=finding.area_px,
        area_mm2=finding.area_mm2,
        long_axis_mm=finding.long_axis_mm,
        short_axis_mm=finding.short_axis_mm,
        mask_png=_mask_to_png(finding.mask),
        tracking_uid=finding.tracking_uid,
    )


def from_row(row: FindingRow, run: ModelRun) -> Finding:
    """The finding that `to_row` stored. Raises ValueError when its mask cannot be read."""
    x0, y0, x1, y1 = (int(value) for value in row.box_px)
    return Finding(
        model=run.model,
        model_version=run.model_version,
        source_sop_uid=run.source_sop_uid,
        number=row.number,
        kind=FindingKind(row.kind),
        laterality=row.laterality,
        view=row.view,
        score=row.score,
        mask=_mask_from_png(row.mask_png),
        offset_px=(y0, x0),
        box_px=(x0, y0, x1, y1),
        contour_px=tuple((float(x), float(y)) for x, y in row.contour_px),
        area_px=row.area_px,
        area_mm2=row.area_mm2,
        long_axis_mm=row.long_axis_mm,
        short_axis_mm=row.short_axis_mm,
        tracking_uid=row.tracking_uid,
    )


def _tight_crop(region: Region) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The smallest crop that holds every True pixel, and the image pixel of its top left."""
    rows = np.flatnonzero(region.mask.any(axis=1))
    columns = np.flatnonzero(region.mask.any(axis=0))
    if rows.size == 0:
        raise ModelOutputError(f"a {region.kind} region without a single pixel")
    top, left = int(rows[0]), int(columns[0])
    crop = region.mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    return np.array(crop, dtype=np.bool_), (region.offset_px[0] + top, region.offset_px[1] + left)


def _contour(mask: NDArray[np.bool_], row: int, column: int) -> Outline:
    """Outer contour of the largest part, in image coordinates, at least 4 points."""
    return _outline(*next(_parts(mask, row, column)))


def _parts(
    mask: NDArray[np.bool_], row: int, column: int
) -> Iterator[tuple[NDArray[np.bool_], int, int]]:
    """8-connected parts, the largest first: each as tight mask with its top left image pixel."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for part in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable"):
        left, top, width, height = (int(value) for value in stats[part, :4])
        crop = labels[top : top + height, left : left + width] == part
        yield crop, row + top, column + left


def _outline(part: NDArray[np.bool_], row: int, column: int) -> Outline:
    # On a grid twice as fine every pixel is a 3 x 3 block whose rim lies on the pixel's edges: the
    # contour then encloses whole pixels, and one-pixel-thin arteries still enclose an area.
    lattice = np.zeros((2 * part.shape[0] + 1, 2 * part.shape[1] + 1), dtype=np.uint8)
    lattice[1::2, 1::2] = part
    blocks = cv2.dilate(lattice, np.ones((3, 3), dtype=np.uint8))
    outlines, _ = cv2.findContours(blocks, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = cv2.approxPolyDP(outlines[0], 2 * CONTOUR_TOLERANCE_PX, closed=True)
    return tuple((column + float(x) / 2, row + float(y) / 2) for x, y in outline[:, 0])


def _axes_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """Largest Feret diameter over all parts, and the extent at a right angle to it, in mm."""
    rows, columns = np.nonzero(mask)
    # The four corners of every pixel; the hull needs no others.
    corners = np.concatenate(
        [np.stack([columns + dx, rows + dy], axis=1) for dx in (0, 1) for dy in (0, 1)]
    )
    hull = cv2.convexHull(corners.astype(np.int32))[:, 0].astype(np.float64)
    hull_mm = hull * np.array([spacing_mm[1], spacing_mm[0]])
    chords_mm = hull_mm[:, np.newaxis] - hull_mm
    lengths_mm = np.hypot(chords_mm[..., 0], chords_mm[..., 1])
    longest = np.unravel_index(np.argmax(lengths_mm), lengths_mm.shape)
    long_axis_mm = float(lengths_mm[longest])
    along_x, along_y = chords_mm[longest] / long_axis_mm
    across_mm = hull_mm @ np.array([-along_y, along_x])
    return long_axis_mm, float(np.ptp(across_mm))


def _mask_to_png(mask: NDArray[np.bool_]) -> bytes:
    """A 1-bit PNG: some hundred bytes for a typical region."""
    written, png = cv2.imencode(".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    if not written:
        raise ValueError("the mask cannot be written as PNG")
    return png.tobytes()


def _mask_from_png(png: bytes) -> NDArray[np.bool_]:
    pixels = cv2.imdecode(np.frombuffer(png, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise ValueError("the stored mask is not a PNG")
    return np.asarray(pixels > 0)
