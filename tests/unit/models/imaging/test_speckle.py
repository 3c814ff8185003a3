"""Ultrasound channels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.imaging.speckle import despeckle, three_channels


def _speckled(clean: NDArray[np.float64], looks: float = 9.0, seed: int = 0) -> NDArray[np.uint8]:
    """Under multiplicative noise of mean 1 and variance 1 / looks."""
    noise = np.random.default_rng(seed).gamma(looks, 1 / looks, clean.shape)
    return np.clip(clean * noise, 0, 255).astype(np.uint8)


def _halves() -> NDArray[np.float64]:
    """Two halves of grey 40 and 160."""
    clean = np.full((128, 128), 40.0)
    clean[:, 64:] = 160.0
    return clean


def _error(found: NDArray[np.uint8], clean: NDArray[np.float64]) -> float:
    return float(np.sqrt(((found - clean) ** 2).mean()))


def test_despeckling_smooths_tissue_and_keeps_the_edge() -> None:
    """Inside a tissue the noise falls to less than a third; across the edge the step remains."""
    noisy = _speckled(_halves())
    calm = despeckle(noisy)
    assert calm[20:100, 10:50].std() < 0.33 * noisy[20:100, 10:50].std()
    assert calm[:, 70:76].mean() - calm[:, 52:58].mean() > 90


@pytest.mark.parametrize("looks", [2.0, 6.0])
def test_estimate_is_nearer_to_the_truth_than_a_median(looks: float) -> None:
    """A dark disc in tissue: less error than the noisy image by half, and than a median filter."""
    rows, columns = np.indices((160, 160))
    clean = np.where(np.hypot(rows - 80, columns - 80) < 40, 25.0, 60.0)
    noisy = _speckled(clean, looks)
    error = _error(despeckle(noisy), clean)
    assert error < 0.5 * _error(noisy, clean)
    assert error < _error(cv2.medianBlur(noisy, 7), clean)


def test_brightness_of_a_tissue_is_kept() -> None:
    """The mean of logarithms lies below the logarithm of the mean; the estimate makes up for it."""
    noisy = _speckled(np.full((128, 128), 80.0), looks=4.0)
    assert despeckle(noisy).mean() == pytest.approx(noisy.mean(), rel=0.03)


def test_flat_image_stays_as_it_is() -> None:
    """An image without noise is returned within rounding."""
    flat = np.full((64, 64), 90, np.uint8)
    assert np.abs(despeckle(flat).astype(int) - 90).max() <= 1


def test_three_channels_are_the_image_and_two_views_of_it() -> None:
    """The first channel is the input itself, and all are bytes of its size."""
    noisy = _speckled(_halves())
    channels = three_channels(noisy)
    assert channels.shape == (128, 128, 3)
    assert channels.dtype == np.uint8
    assert np.array_equal(channels[..., 0], noisy)
