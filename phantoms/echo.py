"""From tissue to a B-mode image: scatterers, beam, envelope, attenuation, log compression.

In: echogenicity in dB and excess attenuation in dB per mm on the image grid. Out: the grey image as
a scanner shows it. Depth runs down the rows.
"""

from __future__ import annotations

import cv2
import numpy as np

from phantoms.texture import Map, as_map

AXIAL_SIGMA_MM = 0.075  # a 10 to 12 MHz linear probe
LATERAL_SIGMA_MM = (0.16, 0.34)  # at the focus, and added per unit distance from it
NOISE_FLOOR_DB = -52.0
COMPOUND_LOOKS = 2  # spatial compounding


def b_mode(
    rng: np.random.Generator,
    echo_db: Map,
    loss_db_per_mm: Map,
    spacing_mm: float,
    focus: float,
    range_db: float,
) -> Map:
    """Image in [0, 1], float32, of the same shape as the maps.

    `focus`: depth of the transmit focus as a fraction of the image. `range_db`: dynamic range.
    Speckle is fully developed: complex Gaussian scatterers through the point spread function.
    """
    amplitude = np.power(10.0, echo_db / 20.0).astype(np.float32)
    looks = [_look(rng, amplitude, spacing_mm, focus) for _ in range(COMPOUND_LOOKS)]
    envelope = np.sqrt(sum(looks) / COMPOUND_LOOKS)
    received = 20.0 * np.log10(np.maximum(envelope, 1.0e-6)) - _loss(loss_db_per_mm, spacing_mm)
    floor = NOISE_FLOOR_DB + rng.normal(0.0, 3.0, echo_db.shape)
    received = np.logaddexp(received / 4.34, floor / 4.34) * 4.34
    shown = np.clip(received / range_db + 0.74, 0.0, 1.0)
    return as_map(cv2.GaussianBlur(shown, (0, 0), 0.6))


def _look(rng: np.random.Generator, amplitude: Map, spacing_mm: float, focus: float) -> Map:
    """Echo power of one steering angle: its speckle is independent of the others'."""
    near, far = _focus_weights(amplitude.shape[0], focus)
    power = np.zeros_like(amplitude)
    for _ in ("in phase", "in quadrature"):
        scatter = rng.standard_normal(amplitude.shape, np.float32) * amplitude
        focused, spread = _through_beam(scatter, spacing_mm)
        power += np.square(near * focused + far * spread)
    return power


def _through_beam(scatter: Map, spacing_mm: float) -> tuple[Map, Map]:
    """Scatterers seen at the focus and far from it, each of unit mean power."""
    axial = AXIAL_SIGMA_MM / spacing_mm
    seen = []
    for lateral_mm in (LATERAL_SIGMA_MM[0], sum(LATERAL_SIGMA_MM)):
        lateral = lateral_mm / spacing_mm
        blurred = cv2.GaussianBlur(scatter, (0, 0), sigmaX=lateral, sigmaY=axial)
        seen.append((blurred * np.sqrt(4.0 * np.pi * axial * lateral) / 1.41).astype(np.float32))
    return seen[0], seen[1]


def _focus_weights(rows: int, focus: float) -> tuple[Map, Map]:
    """Share of the focused and of the unfocused beam at each depth, as columns; power 1."""
    depth = np.linspace(0.0, 1.0, rows, dtype=np.float32)[:, None]
    away = np.clip(np.abs(depth - focus) / 0.55, 0.0, 1.0)
    return np.cos(away * np.pi / 2.0), np.sin(away * np.pi / 2.0)


def _loss(loss_db_per_mm: Map, spacing_mm: float) -> Map:
    """Loss accumulated above each pixel, in dB; negative behind tissue that lets more through."""
    total = np.cumsum(loss_db_per_mm, axis=0, dtype=np.float32) * np.float32(spacing_mm)
    return as_map(cv2.GaussianBlur(total, (0, 0), sigmaX=0.45 / spacing_mm, sigmaY=0.1))
