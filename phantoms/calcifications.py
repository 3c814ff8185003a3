"""Calcifications: clusters, calcified arteries, and single harmless ones.

A speck is an ellipsoid; its path is integrated over each pixel, so specks smaller than a pixel keep
their mass and fade as they would on a detector.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from phantoms.texture import Map


@dataclass(frozen=True, slots=True)
class Speck:
    """One calcification: centre (mm), semi-axes in the image plane and thickness (mm)."""

    y_mm: float
    x_mm: float
    long_mm: float
    short_mm: float
    angle: float
    thickness_mm: float


def add_specks(path: Map, specks: list[Speck], spacing_mm: float) -> None:
    """Add the calcium path in mm of each speck to `path`, float32 (rows, columns), in place."""
    for speck in specks:
        _stamp(path, speck, spacing_mm)


def _stamp(path: Map, speck: Speck, spacing_mm: float) -> None:
    """Integrate one ellipsoid over the pixels it touches, by supersampling."""
    fine = max(1, min(8, int(np.ceil(3.0 * spacing_mm / speck.short_mm))))
    reach = int(np.ceil(speck.long_mm / spacing_mm)) + 1
    column, row = int(speck.x_mm / spacing_mm), int(speck.y_mm / spacing_mm)
    top, left = row - reach, column - reach
    side = 2 * reach + 1
    if top < 0 or left < 0 or top + side > path.shape[0] or left + side > path.shape[1]:
        return
    line = (np.arange(side * fine) + 0.5) * (spacing_mm / fine)
    x = line[None, :] + left * spacing_mm - speck.x_mm
    y = line[:, None] + top * spacing_mm - speck.y_mm
    c, s = np.cos(speck.angle), np.sin(speck.angle)
    squared = ((c * x + s * y) / speck.long_mm) ** 2 + ((c * y - s * x) / speck.short_mm) ** 2
    chord = speck.thickness_mm * np.sqrt(np.clip(1.0 - squared, 0.0, None))
    pixels = chord.reshape(side, fine, side, fine).mean(axis=(1, 3))
    path[top : top + side, left : left + side] += pixels.astype(np.float32)


def cluster_specks(
    rng: np.random.Generator,
    centre_mm: tuple[float, float],
    size_mm: float,
    malignant: bool,
    conspicuity: float,
) -> list[Speck]:
    """Specks of a cluster `size_mm` across around `centre_mm` (y, x).

    Malignant: many, small, of uneven size and shape, along a duct. Benign: fewer, rounder, alike.
    """
    count = int(rng.integers(12, 31) if malignant else rng.integers(5, 15))
    typical = 0.20 + 0.22 * conspicuity + (0.0 if malignant else 0.04)
    flat = rng.uniform(0.35, 0.7) if malignant else rng.uniform(0.75, 1.0)
    turn = rng.uniform(0.0, np.pi)
    spots = rng.normal(0.0, 0.24 * size_mm, (count, 2)) * (1.0, flat)
    spots = np.clip(spots, -0.5 * size_mm, 0.5 * size_mm)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return [
        _speck(rng, centre_mm[0] + y, centre_mm[1] + x, typical, malignant, turn)
        for x, y in spots @ rotation.T
    ]


def _speck(
    rng: np.random.Generator, y: float, x: float, typical_mm: float, uneven: bool, along: float
) -> Speck:
    """One speck of 0.1 to 0.6 mm; uneven ones vary in size, some linear along the duct."""
    size = float(np.clip(typical_mm * rng.lognormal(0.0, 0.38 if uneven else 0.15), 0.1, 0.6))
    stretch = rng.uniform(1.1, 2.4) if uneven else rng.uniform(1.0, 1.2)
    angle = along + rng.normal(0.0, 0.6)
    long = min(0.5 * size * stretch**0.5, 0.3)
    return Speck(y, x, long, 0.5 * size / stretch**0.5, angle, size * rng.uniform(0.8, 1.2))


def specks_region(
    specks: list[Speck], shape: tuple[int, int], spacing_mm: float, margin_mm: float, hull: bool
) -> NDArray[np.bool_]:
    """Region of the specks, `margin_mm` wider: their convex hull, or each on its own."""
    region = np.zeros(shape, np.uint8)
    points = np.array([(s.x_mm / spacing_mm, s.y_mm / spacing_mm) for s in specks])
    if hull:
        outline = cv2.convexHull(np.round(points).astype(np.int32).reshape(-1, 1, 2))
        cv2.fillConvexPoly(region, outline, (1,))
    else:
        for speck, (column, row) in zip(specks, points, strict=True):
            radius = max(0, round(speck.long_mm / spacing_mm))
            cv2.circle(region, (int(column), int(row)), radius, (1,), cv2.FILLED)
    reach = max(1, round(margin_mm / spacing_mm))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate(region, kernel).astype(bool)


def track_specks(
    rng: np.random.Generator, course: Map, diameter_mm: float, conspicuity: float
) -> list[Speck]:
    """Deposits in both walls of an artery: parallel tracks, patchy along its course.

    `course`: float32 (points, 2) as (x, y) in mm, 0.5 mm apart.
    """
    count = len(course)
    heading = np.arctan2(np.gradient(course[:, 1]), np.gradient(course[:, 0]))
    kernel = np.hanning(13) / np.hanning(13).sum()
    specks = []
    for side in (-1.0, 1.0):
        amount = np.convolve(rng.standard_normal(count + 12), kernel, mode="valid")
        amount = amount / amount.std() + 0.1 + 0.6 * conspicuity
        for i in np.flatnonzero(amount > 0.0):
            for _ in range(int(rng.integers(0, 3))):
                specks.append(_deposit(rng, course[i], float(heading[i]), side * diameter_mm / 2.0))
    return specks


def _deposit(rng: np.random.Generator, point: Map, heading: float, offset_mm: float) -> Speck:
    """One plaque in the wall, elongated along the artery."""
    offset = offset_mm + rng.normal(0.0, 0.13)
    slide = rng.uniform(-0.25, 0.25)
    long = rng.uniform(0.12, 0.40)
    return Speck(
        float(point[1] + offset * np.cos(heading) + slide * np.sin(heading)),
        float(point[0] - offset * np.sin(heading) + slide * np.cos(heading)),
        long,
        long * rng.uniform(0.35, 0.6),
        heading + rng.normal(0.0, 0.15),
        rng.uniform(0.08, 0.32),
    )


def single_speck(rng: np.random.Generator, y_mm: float, x_mm: float) -> Speck:
    """A lone benign calcification, 0.25 to 1.2 mm: not a finding."""
    radius = 0.5 * float(np.clip(rng.lognormal(-0.8, 0.4), 0.25, 1.2))
    return Speck(y_mm, x_mm, radius * 1.1, radius * 0.9, rng.uniform(0, np.pi), radius * 1.3)
