"""Projected thickness of a mass: round, lobulated, irregular or spiculated.

In: a generator and a size. Out: a patch with the thickness of the mass along the rays, 0 to about
1, and its outline. The outline is star-convex, r(angle) = R (1 + sum of waves): few low waves for a
round mass, lobes for a lobulated one, a falling spectrum for an irregular one (the usual words for
shape and margin are those of BI-RADS). Thickness over the outline is that of an ellipsoid, uneven
as tissue is, with an edge as soft as the margin; spicules are tapered strands around the core.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Shape = Literal["round", "lobulated", "irregular", "spiculated"]
SHAPES: tuple[Shape, ...] = ("round", "lobulated", "irregular", "spiculated")

Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Form:
    """Ranges of one shape: waves around the outline, their sum as a share of R, softness in mm."""

    waves: tuple[int, int]
    depth: tuple[float, float]
    edge_mm: tuple[float, float]
    spicules: tuple[int, int] = (0, 0)


_FORMS: dict[Shape, _Form] = {
    "round": _Form((2, 3), (0.02, 0.15), (0.3, 1.0)),
    "lobulated": _Form((3, 6), (0.10, 0.30), (0.3, 1.2)),
    "irregular": _Form((2, 12), (0.20, 0.45), (0.8, 2.5)),
    "spiculated": _Form((2, 12), (0.15, 0.40), (0.6, 2.0), (10, 28)),
}

_REACH = 2.6  # half side of a patch in radii: the longest spicule ends inside it
_SPICULE_LENGTH = (0.5, 1.4)  # beyond the outline, in radii
_SPICULE_WIDTH_MM = (0.35, 1.1)
_SPICULE_THICKNESS = (0.10, 0.35)  # of the mass: strands are thin in depth, too


@dataclass(frozen=True, slots=True)
class MassPatch:
    """`thickness` float32 and `core` bool, both (side, side) with the mass in the middle.

    `core` holds what lies within the outline: spicules and the soft edge beyond it do not count.
    """

    thickness: Map
    core: NDArray[np.bool_]


def draw(shape: Shape, radius_px: float, spacing_mm: float, rng: np.random.Generator) -> MassPatch:
    """One mass with a mean radius of `radius_px` pixels of `spacing_mm`."""
    form = _FORMS[shape]
    half = int(np.ceil(_REACH * radius_px)) + 2
    line = np.arange(-half, half + 1, dtype=np.float32)
    x, y = _ellipse(line[np.newaxis, :], line[:, np.newaxis], rng)
    angle = np.arctan2(y, x)
    outline = radius_px * _waves(angle, form, rng)
    inside = np.hypot(x, y) / np.maximum(outline, 0.3 * radius_px)
    thickness = np.sqrt(np.clip(1.0 - inside**2, 0.0, None)) ** np.float32(rng.uniform(0.6, 1.6))
    thickness *= 1.0 + rng.uniform(0.1, 0.45) * _grain(thickness.shape, 0.35 * radius_px, rng)
    if form.spicules[1]:
        thickness = thickness + _spicules(line, radius_px, spacing_mm, form, rng)
    sigma = rng.uniform(*form.edge_mm) / spacing_mm
    soft = cv2.GaussianBlur(np.asarray(thickness, np.float32), (0, 0), max(sigma, 0.3))
    return MassPatch(np.asarray(np.clip(soft, 0.0, None), np.float32), inside <= 1.0)


def _ellipse(x: Map, y: Map, rng: np.random.Generator) -> tuple[Map, Map]:
    """Coordinates in which an ellipse of equal area, turned at random, is a circle."""
    turn, stretch = rng.uniform(0.0, np.pi), np.sqrt(rng.uniform(1.0, 1.5))
    across = (x * np.cos(turn) + y * np.sin(turn)) / stretch
    along = (-x * np.sin(turn) + y * np.cos(turn)) * stretch
    return np.asarray(across, np.float32), np.asarray(along, np.float32)


def _waves(angle: Map, form: _Form, rng: np.random.Generator) -> Map:
    """The outline's radius over its mean, at each angle; high waves are lower."""
    numbers = np.arange(form.waves[0], form.waves[1] + 1)
    heights = rng.random(len(numbers)) / numbers
    heights *= rng.uniform(*form.depth) / heights.sum()
    total = np.ones_like(angle)
    for number, height in zip(numbers, heights, strict=True):
        total += np.float32(height) * np.cos(number * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    return total


def _grain(size: tuple[int, ...], scale_px: float, rng: np.random.Generator) -> Map:
    """Smooth noise of mean 0 and deviation 1."""
    noise = rng.standard_normal(size).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), max(1.0, scale_px))
    return np.asarray((smooth - smooth.mean()) / max(float(smooth.std()), 1e-6), np.float32)


def _spicules(
    line: Map, radius_px: float, spacing_mm: float, form: _Form, rng: np.random.Generator
) -> Map:
    """Strands that leave the core in all directions, thinner and fainter outwards."""
    side, middle = len(line), len(line) // 2
    canvas = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(form.spicules[0], form.spicules[1] + 1))):
        angle = rng.uniform(0, 2 * np.pi)
        bend = rng.uniform(-0.25, 0.25)
        end = radius_px * (1.0 + rng.uniform(*_SPICULE_LENGTH))
        width = rng.uniform(*_SPICULE_WIDTH_MM) / spacing_mm
        height = rng.uniform(*_SPICULE_THICKNESS)
        steps = np.linspace(0.5 * radius_px, end, max(4, int(end)))
        for before, after in pairwise(steps):
            left = (end - before) / end
            points = [
                (
                    middle + radius * np.cos(angle + bend * radius / end),
                    middle + radius * np.sin(angle + bend * radius / end),
                )
                for radius in (before, after)
            ]
            _stroke(canvas, points, max(1, round(width * left)), float(height * left))
    return canvas


def _stroke(
    canvas: Map, points: list[tuple[float, float]], thickness_px: int, value: float
) -> None:
    """A piece of a strand with subpixel ends; crossings do not add up beyond the thicker one."""
    start, end = ((round(x * 16), round(y * 16)) for x, y in points)
    cv2.line(canvas, start, end, (value,), thickness_px, cv2.LINE_8, shift=4)
