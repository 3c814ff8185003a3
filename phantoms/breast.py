"""The outline, compressed thickness and pectoral muscle of one breast, before any tissue.

In: seed, laterality, view. Out: a `Breast` on the anatomy grid (0.25 mm), always in the frame of a
left breast: chest wall along column 0, nipple to the right, top of the image at row 0. Size and
density belong to the patient (the seed alone), so the four views of one seed match.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from phantoms.streams import stream
from phantoms.texture import Map, as_map, blur, smoothstep
from phantoms.truth import Laterality, View

FIELD_HEIGHT_MM = 232.96  # 3328 rows at 0.07 mm, a common 24 x 30 cm class detector
ANATOMY_PITCH_MM = 0.25  # below the finest ligament; specks and noise are drawn at full resolution

# Fraction of the breast covered by fibroglandular tissue, BI-RADS density a to d.
DENSITY_COVERAGE = ((0.04, 0.12), (0.13, 0.27), (0.28, 0.44), (0.46, 0.62))
DENSITY_FREQUENCY = (0.20, 0.42, 0.30, 0.08)


@dataclass(frozen=True, slots=True)
class Patient:
    """What both breasts and both views share. `thickness_mm` is that of the compressed CC view."""

    depth_mm: float
    half_height_mm: float
    thickness_mm: float
    skin_mm: float
    coverage: float
    density: str


@dataclass(frozen=True, slots=True)
class Breast:
    """Geometry on the anatomy grid; every map is float32 (rows, columns) of one shape.

    `x_mm`, `y_mm`: pixel centre coordinates from the top of the chest wall. `edge_mm`: signed
    distance to the skin surface, positive inside. `thickness_mm`: path through the breast, skin
    included. `skin_path_mm`: path through skin. `muscle`: part of the path that is pectoral muscle,
    in [0, 1]. `nipple_mm`: (y, x). `extent_mm`: upper and lower end along the chest wall (y).
    """

    patient: Patient
    x_mm: Map
    y_mm: Map
    edge_mm: Map
    thickness_mm: Map
    skin_path_mm: Map
    muscle: Map
    nipple_mm: tuple[float, float]
    extent_mm: tuple[float, float]


def draw_patient(seed: int) -> Patient:
    """Size and density of the patient of this seed."""
    rng = stream(seed, "patient")
    size = rng.beta(2.2, 2.2)
    density = int(rng.choice(4, p=DENSITY_FREQUENCY))
    return Patient(
        depth_mm=62.0 + 68.0 * size + rng.uniform(-5.0, 5.0),
        half_height_mm=66.0 + 34.0 * size + rng.uniform(-4.0, 4.0),
        thickness_mm=38.0 + 28.0 * size + rng.uniform(-4.0, 4.0),
        skin_mm=rng.uniform(1.3, 2.1),
        coverage=rng.uniform(*DENSITY_COVERAGE[density]),
        density="abcd"[density],
    )


def draw_breast(seed: int, laterality: Laterality, view: View, width_mm: float) -> Breast:
    """Geometry of one view in the frame of a left breast, on a field `width_mm` wide."""
    patient = draw_patient(seed)
    rng = stream(seed, laterality, view, "outline")
    rows = round(FIELD_HEIGHT_MM / ANATOMY_PITCH_MM)
    columns = round(width_mm / ANATOMY_PITCH_MM)
    y = (np.arange(rows, dtype=np.float32) + 0.5) * ANATOMY_PITCH_MM
    x = (np.arange(columns, dtype=np.float32) + 0.5) * ANATOMY_PITCH_MM
    draw = _outline_cc if view == "CC" else _outline_mlo
    depth, nipple_y, extent = draw(rng, patient, y)
    depth += _nipple_bump(rng, y, nipple_y)
    edge = _signed_distance(depth, x, rows, columns)
    thickness, skin = _thickness(edge, patient, view)
    x_mm, y_mm = np.meshgrid(x, y)
    muscle = _pectoral(rng, view, x_mm, y_mm)
    nipple = (nipple_y, float(np.interp(nipple_y, y, depth)))
    return Breast(patient, x_mm, y_mm, edge, thickness, skin, muscle, nipple, extent)


def _wobble(rng: np.random.Generator, y: Map, amplitude_mm: float) -> Map:
    """Gentle irregularity of the outline, wavelengths of 40 to 160 mm."""
    total = np.zeros_like(y)
    for wavelength_mm in (160.0, 80.0, 40.0):
        phase = rng.uniform(0.0, 2.0 * np.pi)
        total += np.sin(2.0 * np.pi * y / wavelength_mm + phase) * wavelength_mm / 160.0
    return as_map(total * amplitude_mm)


def _outline_cc(
    rng: np.random.Generator, patient: Patient, y: Map
) -> tuple[Map, float, tuple[float, float]]:
    """Depth of the skin from the chest wall at each row: half an ellipse, fuller on one side."""
    centre = FIELD_HEIGHT_MM / 2.0 + rng.uniform(-6.0, 6.0)
    height = patient.half_height_mm * rng.uniform(0.96, 1.04)
    top, bottom = centre - height, centre + height
    nipple_y = centre + rng.uniform(-0.10, 0.10) * height
    span = np.where(y < nipple_y, nipple_y - top, bottom - nipple_y)
    t = np.clip(np.abs(y - nipple_y) / span, 0.0, 1.0)
    power = rng.uniform(1.85, 2.25)
    depth = patient.depth_mm * (1.0 - t**power) ** (1.0 / rng.uniform(1.7, 2.1))
    inside = (y > top) & (y < bottom)
    depth = np.where(inside, depth + _wobble(rng, y, 0.8) * (1.0 - t), -20.0)
    return as_map(depth), float(nipple_y), (float(top), float(bottom))


def _outline_mlo(
    rng: np.random.Generator, patient: Patient, y: Map
) -> tuple[Map, float, tuple[float, float]]:
    """Depth of the skin at each row: axilla at the top, nipple below the middle, then the fold."""
    nipple_y = FIELD_HEIGHT_MM * rng.uniform(0.56, 0.64)
    bottom = min(nipple_y + patient.half_height_mm * rng.uniform(0.80, 0.92), 219.0)
    depth_mm = patient.depth_mm * rng.uniform(1.0, 1.06)
    axilla = min(rng.uniform(48.0, 72.0), 0.75 * depth_mm)
    start = rng.uniform(5.0, 25.0)
    rise = np.clip((y - start) / (nipple_y - start), 0.0, 1.0)
    upper = axilla + (depth_mm - axilla) * (rise * rise * (3.0 - 2.0 * rise)) ** 0.85
    fall = np.clip((y - nipple_y) / (bottom - nipple_y), 0.0, 1.0)
    lower = depth_mm * (1.0 - fall ** rng.uniform(2.0, 2.4)) ** 0.55
    abdomen = rng.uniform(2.0, 10.0) + 0.10 * np.clip(y - bottom, 0.0, None)
    lower = np.logaddexp(lower / 4.0, abdomen / 4.0) * 4.0
    depth = np.where(y < nipple_y, upper, lower) + _wobble(rng, y, 0.7)
    return as_map(depth), float(nipple_y), (0.0, float(bottom))


def _nipple_bump(rng: np.random.Generator, y: Map, nipple_y: float) -> Map:
    """The nipple in profile, 1 to 7 mm proud of the skin."""
    radius = rng.uniform(4.0, 6.0)
    height = rng.uniform(1.0, 7.0)
    return as_map(height * np.exp(-(((y - nipple_y) / radius) ** 4)))


def _signed_distance(depth: Map, x: Map, rows: int, columns: int) -> Map:
    """Distance to the skin in mm, positive inside; tissue goes on beyond the image's edges."""
    inside = (x[None, :] < depth[:, None]).astype(np.uint8)
    pad = round(60.0 / ANATOMY_PITCH_MM)
    padded = cv2.copyMakeBorder(inside, pad, pad, pad, 0, cv2.BORDER_REPLICATE)
    within = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)
    without = cv2.distanceTransform(1 - padded, cv2.DIST_L2, cv2.DIST_MASK_5)
    signed = blur((within - without) * ANATOMY_PITCH_MM, 2.0)
    return np.ascontiguousarray(signed[pad : pad + rows, pad : pad + columns])


def _chord(depth_mm: Map, full_mm: float, reach_mm: float) -> Map:
    """Thickness of a compressed slab whose rim is a half ellipse `reach_mm` deep."""
    t = np.clip(depth_mm / reach_mm, 0.0, 1.0)
    return as_map(full_mm * np.sqrt(t * (2.0 - t)))


def _thickness(edge: Map, patient: Patient, view: View) -> tuple[Map, Map]:
    """Whole path and skin path; the skin line is where rays graze the skin."""
    full = patient.thickness_mm * (1.0 if view == "CC" else 1.05)
    reach = 0.36 * full
    outer = _chord(edge, full, reach)
    skin = patient.skin_mm
    inner = _chord(edge - skin, full - 2.0 * skin, reach - skin)
    return outer, outer - inner


def _pectoral(rng: np.random.Generator, view: View, x_mm: Map, y_mm: Map) -> Map:
    """Part of the path that is pectoral muscle: a wedge on MLO, at most a sliver on CC."""
    if view == "CC":
        if rng.random() > 0.25:
            return np.zeros_like(x_mm)
        centre = rng.uniform(0.4, 0.6) * FIELD_HEIGHT_MM
        depth = rng.uniform(3.0, 9.0) - np.square((y_mm - centre) / rng.uniform(14.0, 20.0)) - x_mm
        return 0.45 * smoothstep(depth, 0.0, 7.0)
    width, height = rng.uniform(38.0, 62.0), rng.uniform(105.0, 165.0)
    bow = rng.uniform(-3.0, 7.0)
    t = np.clip(y_mm / height, 0.0, 1.0)
    line = width * (1.0 - y_mm / height) + bow * 4.0 * t * (1.0 - t)
    depth = (line - x_mm) * height / np.hypot(width, height)
    return 0.26 * smoothstep(depth, 0.0, 3.0) + 0.30 * smoothstep(depth, 0.0, 45.0)
