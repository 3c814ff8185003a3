"""Synthetic calcium in a real normal mammogram: clusters, calcified arteries, single specks.

In: pixels that grow with the logarithm of attenuation, as film and images For Presentation do; the
breast's mask. Out: the same with one finding more, and its mask: of a cluster the hull of its
specks, 1 mm wider; of an artery its deposits, 0.5 mm wider (as `phantoms.truth` has them).
Attenuations along a ray add up, so the calcium's path length is added in the logarithm: each speck
is an ellipsoid integrated over the pixels it touches, blurred as film and detector blur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import FindingKind
from models.insertion.calcifications_shapes import (
    ARTERY_DIAMETER_MM,
    ARTERY_MM,
    CLUSTER_MM,
    LOOKS,
    Morphology,
    cluster,
    course,
    draw_morphology,
)
from models.insertion.inserted import Inserted, NoRoomError
from models.insertion.masses import shoulder
from models.insertion.placement import centre
from phantoms.calcifications import Speck, add_specks, specks_region, track_specks

# Grey added per mm of calcium, as a share of the breast's grey range. Hydroxyapatite attenuates
# about 1 per mm more than tissue at 20 keV, and a breast spans about 1.5 in the logarithm: 0.7 per
# mm, less what impure deposits, scatter and the film's shoulder take.
_GREY_PER_MM = 0.55
_GREY_SPREAD = 0.35  # of its logarithm, between findings
_RANGE_PERCENTILES = (1.0, 99.5)

_BLUR_MM, _BLUR_PX = 0.06, 0.45  # standard deviations of screen or detector, and of sampling

_CLUSTER_MARGIN_MM, _ARTERY_MARGIN_MM = 1.0, 0.5
_TRIES = 12
_INSIDE_SHARE = 0.97  # of an artery's points; the rest may leave the breast and is not drawn


@dataclass(frozen=True, slots=True)
class _Window:
    """A square part of the image in px that a finding lies in; `origin_mm` is its corner (y, x)."""

    rows: slice
    columns: slice
    origin_mm: tuple[float, float]

    @property
    def place(self) -> tuple[slice, slice]:
        return self.rows, self.columns


def insert_cluster(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    rng: np.random.Generator,
    spacing_mm: float,
    morphology: Morphology | None = None,
    extent_mm: float | None = None,
) -> Inserted:
    """Add one cluster at random, or of the given look and extent.

    `pixels` (rows, columns) in [0, 1], bright where dense; `spacing_mm` between pixels, the same in
    both directions. Raises NoRoomError where the breast is too small.
    """
    chosen = morphology or draw_morphology(rng)
    low, high = np.log(CLUSTER_MM)
    extent = extent_mm or float(np.exp(rng.uniform(low, high)))
    at_px = centre(pixels, breast, rng, max(0.4 * extent, 2.0) / spacing_mm)
    specks, _ = cluster(rng, chosen, extent)
    specks = _moved(specks, (at_px[0] * spacing_mm, at_px[1] * spacing_mm))
    return _with(
        pixels,
        breast,
        specks,
        spacing_mm,
        _grey_per_mm(rng, pixels, breast),
        FindingKind.CALCIFICATION_CLUSTER,
        LOOKS[chosen].label,
    )


def insert_artery(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    rng: np.random.Generator,
    spacing_mm: float,
    length_mm: float | None = None,
) -> Inserted:
    """Add one calcified artery: two tracks of deposits along a vessel. Raises NoRoomError."""
    length = length_mm or float(rng.uniform(*ARTERY_MM))
    middle = _course_inside(pixels, breast, rng, spacing_mm, length)
    diameter = float(rng.uniform(*ARTERY_DIAMETER_MM))
    conspicuity = float(rng.random())
    specks = [
        speck
        for _ in range(1 + int(rng.random() < 0.5))  # half of them are heavily calcified
        for speck in track_specks(rng, middle, diameter, conspicuity)
    ]
    vessel = _vessel(rng, pixels, breast, middle, diameter, spacing_mm)
    grey = _grey_per_mm(rng, pixels, breast)
    kind = FindingKind.ARTERIAL_CALCIFICATION
    return _with(vessel, breast, specks, spacing_mm, grey, kind, "benign")


def add_single_specks(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    rng: np.random.Generator,
    spacing_mm: float,
    count: int,
) -> NDArray[np.float32]:
    """Add lone calcifications of 0.2 to 1.5 mm, far from each other as a rule: not a finding."""
    for _ in range(count):
        row, column = centre(pixels, breast, rng, 2.0 / spacing_mm)
        size = float(np.clip(rng.lognormal(-0.9, 0.5), 0.2, 1.5))
        round_by = rng.uniform(0.7, 1.0)
        y, x = row * spacing_mm, column * spacing_mm
        speck = Speck(y, x, 0.5 * size, 0.5 * size * round_by, rng.uniform(0, np.pi), 0.6 * size)
        pixels, _ = _lit(pixels, breast, [speck], spacing_mm, _grey_per_mm(rng, pixels, breast))
    return pixels


def _with(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    specks: Sequence[Speck],
    spacing_mm: float,
    grey_per_mm: float,
    kind: FindingKind,
    label: str,
) -> Inserted:
    """The image with the specks, and their region cut to the breast."""
    if not specks:
        raise NoRoomError("no deposit was drawn")
    lit, window = _lit(pixels, breast, specks, spacing_mm, grey_per_mm)
    hull = kind is FindingKind.CALCIFICATION_CLUSTER
    local = _moved(specks, (-window.origin_mm[0], -window.origin_mm[1]))
    rows, columns = breast[window.place].shape
    margin_mm = _CLUSTER_MARGIN_MM if hull else _ARTERY_MARGIN_MM
    mask = np.zeros(pixels.shape, np.bool_)
    mask[window.place] = specks_region(local, (rows, columns), spacing_mm, margin_mm, hull)
    mask &= breast
    if not mask.any():
        raise NoRoomError("the finding lies outside the breast")
    return Inserted(lit, mask, kind, "malignant" if label == "malignant" else "benign")


def _lit(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    specks: Sequence[Speck],
    spacing_mm: float,
    grey_per_mm: float,
) -> tuple[NDArray[np.float32], _Window]:
    """A copy of the image with the calcium of `specks`, and the window that holds all of it."""
    window = _window(specks, spacing_mm, pixels.shape)
    path = np.zeros(breast[window.place].shape, np.float32)
    local = _moved(specks, (-window.origin_mm[0], -window.origin_mm[1]))
    add_specks(path, local, spacing_mm)
    blurred = cv2.GaussianBlur(path, (0, 0), _BLUR_PX + _BLUR_MM / spacing_mm)
    added = np.asarray(blurred * np.float32(grey_per_mm), np.float32) * breast[window.place]
    changed = pixels.copy()
    changed[window.place] = shoulder(pixels[window.place], added)
    return changed, window


def _window(specks: Sequence[Speck], spacing_mm: float, shape: tuple[int, ...]) -> _Window:
    """All specks with 3 mm around them, cut to the image."""
    bounds = []
    for size, values in (
        (shape[0], [speck.y_mm for speck in specks]),
        (shape[1], [speck.x_mm for speck in specks]),
    ):
        first = min(max(0, int((min(values) - 3.0) / spacing_mm)), size - 1)
        last = max(min(size, int((max(values) + 3.0) / spacing_mm) + 1), first + 1)
        bounds.append(slice(first, last))
    rows, columns = bounds
    return _Window(rows, columns, (rows.start * spacing_mm, columns.start * spacing_mm))


def _moved(specks: Sequence[Speck], by_mm: tuple[float, float]) -> list[Speck]:
    return [
        replace(speck, y_mm=speck.y_mm + by_mm[0], x_mm=speck.x_mm + by_mm[1]) for speck in specks
    ]


def _grey_per_mm(
    rng: np.random.Generator, pixels: NDArray[np.float32], breast: NDArray[np.bool_]
) -> float:
    """Grey per mm of calcium for one finding of this image."""
    values = pixels[breast]
    low, high = np.percentile(values[:: max(1, values.size // 50_000)], _RANGE_PERCENTILES)
    return float((high - low) * _GREY_PER_MM * rng.lognormal(0.0, _GREY_SPREAD))


def _course_inside(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    rng: np.random.Generator,
    spacing_mm: float,
    length_mm: float,
) -> NDArray[np.float32]:
    """A course (points, 2) as (x, y) in mm that stays in the breast. Raises NoRoomError."""
    for attempt in range(_TRIES):
        row, column = centre(pixels, breast, rng, 3.0 / spacing_mm)
        drawn = course(rng, length_mm * 0.85**attempt)
        drawn = drawn + np.array([column * spacing_mm, row * spacing_mm], np.float32)
        columns, rows = np.floor(drawn.T / spacing_mm).astype(int)
        known = (
            (rows >= 0) & (rows < breast.shape[0]) & (columns >= 0) & (columns < breast.shape[1])
        )
        inside = known.copy()
        inside[known] = breast[rows[known], columns[known]]
        if inside.mean() >= _INSIDE_SHARE:
            return np.asarray(drawn, np.float32)
    raise NoRoomError(f"no artery of {length_mm:.0f} mm fits into the breast")


def _vessel(
    rng: np.random.Generator,
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    middle: NDArray[np.float32],
    diameter_mm: float,
    spacing_mm: float,
) -> NDArray[np.float32]:
    """The soft wall and blood between the tracks: a faint band, as bare tracks are seldom seen."""
    line = np.zeros(pixels.shape, np.float32)
    points = np.round(middle / spacing_mm * 16).astype(np.int32).reshape(-1, 1, 2)
    thickness = max(1, round(1.2 * diameter_mm / spacing_mm))
    cv2.polylines(line, [points], False, (1.0,), thickness, cv2.LINE_AA, shift=4)
    band = cv2.GaussianBlur(line, (0, 0), max(0.5, 0.25 * diameter_mm / spacing_mm))
    values = pixels[breast]
    contrast = float(rng.uniform(0.0, 0.06)) * float(values.max() - values.min())
    return shoulder(pixels, np.asarray(band * breast, np.float32) * np.float32(contrast))
