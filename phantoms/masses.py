"""Masses: the shape of a circumscribed and of a spiculated one, and how they replace tissue.

A mass is drawn on its own patch at 0.125 mm and then laid on the image at any resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from phantoms.texture import Map, as_map, blur, power_law, sample, smoothstep
from phantoms.truth import Margin

PATCH_PITCH_MM = 0.125


@dataclass(frozen=True, slots=True)
class MassPatch:
    """Shape of one mass, centred. Maps are (n, n) at 0.125 mm.

    `profile`: float32, path through the mass over its largest path, in [0, 1], spicules included.
    `core`: float32, 1 inside core and margin, 0 outside.
    """

    profile: Map
    core: Map


def mass_patch(rng: np.random.Generator, margin: Margin, size_mm: float) -> MassPatch:
    """Draw a mass whose core has the mean diameter `size_mm`."""
    if margin == "circumscribed":
        return _circumscribed(rng, size_mm)
    return _spiculated(rng, size_mm)


def _polar_patch(reach_mm: float) -> tuple[Map, Map, Map, Map]:
    """Coordinates x, y, radius (mm) and angle on a square patch reaching `reach_mm` each way."""
    half = int(np.ceil(reach_mm / PATCH_PITCH_MM))
    line = np.arange(-half, half + 1, dtype=np.float32) * PATCH_PITCH_MM
    x, y = np.meshgrid(line, line)
    return x, y, np.hypot(x, y), np.arctan2(y, x)


def _boundary(
    rng: np.random.Generator, angle: Map, elongation: float, harmonics: range, roughness: float
) -> Map:
    """Radius of an outline by angle, mean near 1: an ellipse with random harmonics."""
    turn = rng.uniform(0.0, np.pi)
    ellipse = 1.0 / np.sqrt(
        np.square(np.cos(angle - turn)) / elongation + np.square(np.sin(angle - turn)) * elongation
    )
    ripple = np.zeros_like(angle)
    for order in harmonics:
        amplitude = roughness * rng.uniform(0.4, 1.0) / order**0.7
        ripple += amplitude * np.cos(order * angle + rng.uniform(0.0, 2.0 * np.pi))
    return as_map(ellipse * (1.0 + ripple))


def _circumscribed(rng: np.random.Generator, size_mm: float) -> MassPatch:
    """Oval or gently lobulated, sharply bounded."""
    _, _, radius, angle = _polar_patch(size_mm * 0.5 * 1.8 + 1.0)
    lobes = rng.uniform(0.02, 0.09)
    outline = _boundary(rng, angle, rng.uniform(1.0, 1.75), range(2, 5), lobes)
    relative = radius / (outline * size_mm / 2.0)
    profile = np.power(np.clip(1.0 - relative**2.4, 0.0, 1.0), 0.7)
    return MassPatch(blur(as_map(profile), 1.0), as_map(relative <= 1.0))


def _spiculated(rng: np.random.Generator, size_mm: float) -> MassPatch:
    """Irregular, uneven core with tapering strands that radiate from it."""
    x, y, radius, angle = _polar_patch(size_mm * 0.5 * 3.2 + 2.0)
    outline = _boundary(rng, angle, rng.uniform(1.0, 1.5), range(2, 10), 0.17)
    relative = radius / (outline * size_mm / 2.0)
    mottle = sample(power_law(rng, 3.0, 10.0, 0.6), x + 128.0, y + 128.0)
    core = (1.0 - smoothstep(relative, 0.45, 1.15)) * np.clip(0.88 + 0.16 * mottle, 0.3, 1.2)
    strands = _spicules(rng, radius.shape[0], size_mm)
    profile = np.maximum(core, 0.55 * strands) + 0.25 * np.minimum(core, strands)
    return MassPatch(as_map(np.clip(profile, 0.0, 1.2)), as_map(relative <= 1.0))


def _spicules(rng: np.random.Generator, side_px: int, size_mm: float) -> Map:
    """Strands in [0, 1]: each leaves the core, bends a little and tapers to nothing."""
    centre = (side_px - 1) / 2.0
    core_px = size_mm / 2.0 / PATCH_PITCH_MM
    total = np.zeros((side_px, side_px), np.float32)
    for direction in rng.uniform(0.0, 2.0 * np.pi, int(rng.integers(20, 44))):
        reach = core_px * (1.15 + 1.7 * rng.beta(1.3, 2.2))
        t = np.linspace(0.0, 1.0, 24)
        bearing = direction + rng.normal(0.0, 0.3) * t**2
        along = 0.45 * core_px + (reach - 0.45 * core_px) * t
        points = np.stack([centre + along * np.cos(bearing), centre + along * np.sin(bearing)], 1)
        _taper(total, points, rng.uniform(0.4, 1.0), rng.uniform(0.35, 1.0) / PATCH_PITCH_MM)
    return blur(np.minimum(total, 1.0), 1.2)


def _taper(total: Map, points: NDArray[np.float64], strength: float, width_px: float) -> None:
    """Draw one strand onto `total`, in place, thinner and fainter towards its end."""
    fixed = np.round(points * 16.0).astype(np.int32)
    steps = len(points) - 1
    for i in range(steps):
        left = 1.0 - i / steps
        width = max(1, round(width_px * (0.25 + 0.75 * left)))
        level = strength * (0.1 + 0.9 * left)
        cv2.line(total, fixed[i].tolist(), fixed[i + 1].tolist(), (level,), width, shift=4)


def lay(patch: Map, shape: tuple[int, int], centre_mm: tuple[float, float], spacing: float) -> Map:
    """Resample a patch onto an image of `shape`; `centre_mm` is (y, x), `spacing` in mm.

    Returns float32 (rows, columns), 0 outside the patch.
    """
    scale = PATCH_PITCH_MM / spacing
    smooth = blur(patch, 0.4 / scale) if scale < 0.9 else patch
    half = (patch.shape[0] - 1) / 2.0
    shift_x = centre_mm[1] / spacing - 0.5 - half * scale
    shift_y = centre_mm[0] / spacing - 0.5 - half * scale
    matrix = np.array([[scale, 0.0, shift_x], [0.0, scale, shift_y]], np.float32)
    size = (shape[1], shape[0])
    return as_map(cv2.warpAffine(smooth, matrix, size, flags=cv2.INTER_LINEAR))


def add_mass(
    line_integral: Map, profile: Map, size_mm: float, conspicuity: float, spacing_mm: float
) -> None:
    """Put a mass into the line integral of attenuation, in place.

    It displaces half of the texture it covers and adds attenuation of its own: more where the
    surroundings are uneven, so that `conspicuity` means the same in fatty and in dense breasts.
    """
    ys, xs = np.nonzero(profile > 0.02)
    margin = int(size_mm / 2.0 / spacing_mm) + 1
    top, left = max(ys.min() - margin, 0), max(xs.min() - margin, 0)
    window = (slice(top, ys.max() + margin), slice(left, xs.max() + margin))
    here, shape = line_integral[window], profile[window]
    mean = blur(here, size_mm * 0.5 / spacing_mm)
    unevenness = float(np.std((here - mean)[shape > 0.05]))
    peak = 0.18 + 0.27 * conspicuity + (1.05 + 1.6 * conspicuity) * unevenness
    peak = min(peak, 0.05 * size_mm + 0.15)
    weight = np.clip(shape, 0.0, 1.0)
    here += 0.5 * weight * (mean - here) + peak * shape
