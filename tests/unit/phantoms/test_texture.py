"""Tissue texture: spectrum, scale and the torus without a seam."""

from __future__ import annotations

import numpy as np
import pytest

from phantoms.streams import stream
from phantoms.texture import TORUS_PITCH_MM, as_map, blur, power_law, sample


@pytest.mark.parametrize("exponent", [2.0, 3.0])
def test_power_falls_with_the_exponent(exponent: float) -> None:
    """Between the two wavelengths the radial spectrum is a straight line in log-log axes."""
    noise = power_law(np.random.default_rng(1), exponent, 100.0, 1.0)
    power = np.abs(np.fft.fft2(noise)) ** 2
    axis = np.fft.fftfreq(noise.shape[0], TORUS_PITCH_MM)
    frequency = np.hypot(axis[:, None], axis[None, :])
    centres = np.geomspace(0.03, 0.3, 8)
    levels = [power[np.abs(np.log(frequency + 1e-9) - np.log(f)) < 0.1].mean() for f in centres]
    slope = np.polyfit(np.log(centres), np.log(levels), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.35)


def test_torus_has_no_seam() -> None:
    """A point 256 mm further is the same point."""
    noise = power_law(np.random.default_rng(2), 3.0, 50.0, 1.0)
    x, y = as_map([[250.2, 255.9]]), as_map([[3.3, 0.1]])
    assert np.allclose(sample(noise, x, y), sample(noise, x - 256.0, y + 256.0), atol=1e-3)


def test_wide_blur_equals_the_exact_one() -> None:
    """The short cut on a reduced image is close to the full convolution."""
    noise = power_law(np.random.default_rng(3), 2.0, 50.0, 1.0)
    narrow = noise
    for _ in range(16):
        narrow = blur(narrow, 5.0)
    inner = (slice(80, -80), slice(80, -80))
    assert np.abs(blur(noise, 20.0) - narrow)[inner].max() < 0.05 * noise.std()


def test_streams_of_different_names_are_independent() -> None:
    """The same name gives the same numbers, another name others."""
    first, again, other = stream(1, "a"), stream(1, "a"), stream(1, "b")
    assert first.random() == again.random() != other.random()
