"""Ultrasound on three channels: as it is, without speckle, with local contrast.

Speckle multiplies the signal, so it is additive in the logarithm, where the best linear estimate of
the signal is known (Lee, "Digital Image Enhancement and Noise Filtering by Use of Local
Statistics"; Kumar et al. denoise ultrasound in the log domain likewise): keep the local mean, and
of the deviation from it the share that exceeds the variance of speckle. The two other channels
leave the network free to disagree: speckle texture is itself a sign, and shadows need contrast.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

WINDOW_PX = 7
CLAHE_CLIP = 2.0
CLAHE_TILES = 8


def despeckle(grey: Bytes, window_px: int = WINDOW_PX) -> Bytes:
    """Return uint8 (rows, columns) with speckle averaged away and edges kept."""
    logarithm = np.log1p(grey.astype(np.float32))
    size = (window_px, window_px)
    mean = cv2.blur(logarithm, size, borderType=cv2.BORDER_REFLECT)
    square = cv2.blur(logarithm * logarithm, size, borderType=cv2.BORDER_REFLECT)
    variance = np.maximum(square - mean * mean, 0.0)
    # Half of the image is tissue without edges: the median variance is that of speckle.
    speckle = float(np.median(variance))
    signal_share = np.maximum(variance - speckle, 0.0) / np.maximum(variance, 1e-6)
    estimate = mean + signal_share * (logarithm - mean)
    calm: Bytes = np.rint(np.clip(np.expm1(estimate), 0.0, 255.0)).astype(np.uint8)
    return calm


def three_channels(grey: Bytes) -> Bytes:
    """Return uint8 (rows, columns, 3): grey, despeckled, local contrast of the despeckled."""
    calm = despeckle(grey)
    local = cv2.createCLAHE(clipLimit=CLAHE_CLIP, tileGridSize=(CLAHE_TILES, CLAHE_TILES))
    return np.stack([grey, calm, local.apply(calm)], axis=-1)
