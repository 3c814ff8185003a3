"""Ultrasound on three channels: as it is, without speckle, with local contrast.

Speckle multiplies the signal. Kumar et al. (2025, section II-B) take the logarithm, where it adds,
estimate the signal in Bayes' sense and return by the antilogarithm; which prior they use is in
another paper. Ours, with y = log(1 + grey) = x + n, is

    x ~ N(m, v - s)   signal: mean and variance of the window, less the variance of speckle
    n ~ N(-s/2, s)    speckle: the logarithm of what multiplies by 1 on average
    E[x | y] = m + s/2 + (v - s) / v * (y - m)

the mean of the posterior, which is the estimate of least squared error (Lee, "Digital Image
Enhancement and Noise Filtering by Use of Local Statistics", has it for additive noise of mean 0).
Within tissue v is near s and the window's mean remains; at an edge v is far above s and the pixel
stays. The two other channels leave the network free to disagree: speckle texture is itself a
sign, and shadows need contrast.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

WINDOW_PX = 7
SPECKLE_EXCESS = 1.5
"""How far above the variance of speckle a window must lie to count as signal: chance alone takes
many windows of 49 correlated pixels past it, and would leave their speckle in the picture."""
CLAHE_CLIP = 2.0
CLAHE_TILES = 8

_LEAST_VARIANCE = 1e-6  # of log grey values: below it a window is flat


def despeckle(grey: Bytes, window_px: int = WINDOW_PX) -> Bytes:
    """Return uint8 (rows, columns) with speckle averaged away and edges kept."""
    estimate = posterior_mean(np.log1p(grey.astype(np.float32)), window_px)
    calm: Bytes = np.rint(np.clip(np.expm1(estimate), 0.0, 255.0)).astype(np.uint8)
    return calm


def posterior_mean(logarithm: Floats, window_px: int) -> Floats:
    """E[x | y] for log grey values y, float32 (rows, columns), from square windows."""
    size = (window_px, window_px)
    mean = cv2.blur(logarithm, size, borderType=cv2.BORDER_REFLECT)
    square = cv2.blur(logarithm * logarithm, size, borderType=cv2.BORDER_REFLECT)
    variance = np.maximum(square - mean * mean, 0.0)
    speckle = speckle_variance(variance)
    noise = SPECKLE_EXCESS * speckle
    signal_share = np.maximum(variance - noise, 0.0) / np.maximum(variance, _LEAST_VARIANCE)
    estimate: Floats = (mean + speckle / 2 + signal_share * (logarithm - mean)).astype(np.float32)
    return estimate


def speckle_variance(variance: Floats) -> float:
    """The variance of log speckle, from that of every window.

    Most of an image is tissue without edges, where speckle alone makes the variance.
    """
    return float(np.median(variance))


def three_channels(grey: Bytes) -> Bytes:
    """Return uint8 (rows, columns, 3): grey, despeckled, local contrast of the despeckled."""
    calm = despeckle(grey)
    local = cv2.createCLAHE(clipLimit=CLAHE_CLIP, tileGridSize=(CLAHE_TILES, CLAHE_TILES))
    return np.stack([grey, calm, local.apply(calm)], axis=-1)
