"""The Anscombe transform stabilises Poisson-Gaussian noise, and denoising keeps what is there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.imaging.anscombe import NoiseModel, calmed, denoise, estimate_noise, forward, inverse

NOISE = NoiseModel(gain=0.002, floor=4e-6)


def _noisy(clean: NDArray[np.float64], seed: int = 0) -> NDArray[np.float32]:
    """Quanta of `gain` each, and a Gaussian."""
    rng = np.random.default_rng(seed)
    quanta = rng.poisson(clean / NOISE.gain) * NOISE.gain
    return (quanta + rng.normal(0.0, NOISE.floor**0.5, clean.shape)).astype(np.float32)


@pytest.mark.parametrize("level", [0.02, 0.1, 0.3, 0.9])
def test_variance_is_one_at_every_signal(level: float) -> None:
    """Before, the variance grows 20-fold from dark to bright; after, it is 1 throughout."""
    noisy = _noisy(np.full((300, 300), level))
    assert noisy.var() == pytest.approx(NOISE.gain * level + NOISE.floor, rel=0.05)
    assert forward(noisy, NOISE).var() == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.4])
def test_inverse_is_unbiased(level: float) -> None:
    """The mean of stabilised values goes back to the signal; squaring alone falls short."""
    noisy = _noisy(np.full((400, 400), level))
    stable = forward(noisy, NOISE).mean(dtype=np.float64)
    back = float(inverse(np.full((1, 1), stable, np.float32), NOISE)[0, 0])
    algebraic = NOISE.gain * (stable**2 / 4 - 0.375 - NOISE.floor / NOISE.gain**2)
    assert back == pytest.approx(level, abs=0.08 * NOISE.gain)
    assert abs(algebraic - level) > 2 * abs(back - level)


def test_noise_model_is_found_in_the_image() -> None:
    """Gain is recovered within a quarter from an image with smooth structure."""
    ramp = np.linspace(0.05, 0.95, 400) + 0.03 * np.sin(np.arange(400) / 15.0)[:, np.newaxis]
    found = estimate_noise(_noisy(ramp * np.ones((400, 400))))
    assert found.gain == pytest.approx(NOISE.gain, rel=0.25)


def test_denoising_brings_the_image_closer_and_keeps_a_speck() -> None:
    """The error falls to less than half in tissue, and a calcification keeps its height."""
    clean = np.full((240, 240), 0.3) + 0.2 * (np.arange(240) / 240.0)
    clean[118:122, 118:122] += 0.35
    noisy = _noisy(clean)
    calm = denoise(noisy, NOISE)
    tissue = np.s_[20:100, 20:220]
    before = np.sqrt(np.mean((noisy[tissue] - clean[tissue]) ** 2))
    after = np.sqrt(np.mean((calm[tissue] - clean[tissue]) ** 2))
    assert after < 0.5 * before
    assert calm[119:121, 119:121].mean() > 0.9 * clean[119:121, 119:121].mean()


def test_image_without_noise_stays() -> None:
    """Nothing is smoothed where there is nothing to remove."""
    ramp = np.tile(np.linspace(0.1, 0.9, 200, dtype=np.float32), (200, 1))
    assert np.abs(denoise(ramp) - ramp).max() < 1e-3


def test_calming_keeps_what_noise_cannot_explain() -> None:
    """A step of 40 standard deviations stays sharp."""
    step = np.zeros((60, 60), np.float32)
    step[:, 30:] = 40.0
    assert calmed(step)[30, 28] < 3.0
    assert calmed(step)[30, 31] > 37.0


def test_noise_needs_a_gain() -> None:
    """A gain of zero has no transform."""
    with pytest.raises(ValueError, match="gain"):
        NoiseModel(0.0)
