"""Ultrasound channels."""

from __future__ import annotations

import numpy as np

from models.imaging.speckle import despeckle, three_channels


def _speckled(seed: int = 0) -> np.ndarray:
    """Two halves of grey 40 and 160 under multiplicative noise."""
    clean = np.full((128, 128), 40.0)
    clean[:, 64:] = 160.0
    noise = np.random.default_rng(seed).gamma(9.0, 1 / 9.0, clean.shape)
    return np.clip(clean * noise, 0, 255).astype(np.uint8)


def test_despeckling_smooths_tissue_and_keeps_the_edge() -> None:
    """Inside a tissue the noise falls to less than half; across the edge the step remains."""
    noisy = _speckled()
    calm = despeckle(noisy)
    assert calm[20:100, 10:50].std() < 0.5 * noisy[20:100, 10:50].std()
    assert calm[:, 70:76].mean() - calm[:, 52:58].mean() > 80


def test_flat_image_stays_as_it_is() -> None:
    """An image without noise is returned within rounding."""
    flat = np.full((64, 64), 90, np.uint8)
    assert np.abs(despeckle(flat).astype(int) - 90).max() <= 1


def test_three_channels_are_the_image_and_two_views_of_it() -> None:
    """The first channel is the input itself, and all are bytes of its size."""
    noisy = _speckled()
    channels = three_channels(noisy)
    assert channels.shape == (128, 128, 3)
    assert channels.dtype == np.uint8
    assert np.array_equal(channels[..., 0], noisy)
