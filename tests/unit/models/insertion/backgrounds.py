"""A breast without findings on a coarse grid, for the tests of insertion."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SPACING_MM = 0.5


def background(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Pixels float32 (360, 240) in [0, 1] with textured tissue, and the breast's mask."""
    rng = np.random.default_rng(seed)
    breast = np.zeros((360, 240), np.uint8)
    cv2.ellipse(breast, (0, 180), (180, 165), 0, 0, 360, (1,), cv2.FILLED)
    texture = cv2.GaussianBlur(rng.standard_normal(breast.shape).astype(np.float32), (0, 0), 4.0)
    pixels = np.clip(0.4 + 0.05 * texture / texture.std(), 0.0, 1.0) * breast
    return pixels.astype(np.float32), breast > 0
