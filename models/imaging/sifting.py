"""Multi-scale morphological sifting (MMS): the pseudo-colour mammogram.

Paper 000 (section 4.3) makes it from grey (red channel) and the MMS of two scales (green and blue),
for masses of 15 to 3689 mm2 (its table 1). It gives no equation; those are in Min et al., "Fully
automatic computer-aided mass detection and segmentation via pseudo-color mammograms and Mask R-CNN"
(ISBI 2020). A mass is bright, no longer than M1 in any direction and not thinner than M2. With f
the image, L(M, a) a line of length M in direction a, and o the opening:

    top-hat(a) = f - f o L(M1, a)             removes what is longer: tissue, muscle, vessels
    MMS = sum over a of top-hat(a) o L(M2, a)  removes what is shorter; large where all agree

In: a grey image on the working grid of 0.28 mm (their 0.07 mm after two wavelet levels). Out: three
channels: grey, small masses, large masses. Three departures, all for speed or for lack of the view:
area averaging in place of the db2 wavelet, the border mirrored for every view (theirs is, for CC at
the large scale), and the large scale computed on every second pixel.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

WORKING_SPACING_MM = 0.28
LINE_PX = (15, 61, 245)
"""Diameters of circles of 15 and 3689 mm2 on the working grid, and their geometric mean."""

DIRECTIONS = 18  # every 10 degrees
_BRIGHTEST_PERCENTILE = 99.8


def pseudo_colour(grey: Bytes, breast: NDArray[np.bool_]) -> Bytes:
    """Return uint8 (rows, columns, 3) from grey (rows, columns) and the breast's mask.

    Every channel spans 0 to 255 inside the breast and is 0 outside.
    """
    shortest, middle, longest = LINE_PX
    small = sift(grey, shortest, middle)
    half = (max(1, grey.shape[1] // 2), max(1, grey.shape[0] // 2))
    coarse = np.asarray(cv2.resize(grey, half, interpolation=cv2.INTER_AREA), np.uint8)
    coarse_large = sift(coarse, middle // 2 + 1, longest // 2 + 1)
    large = cv2.resize(coarse_large, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    channels = (grey, small, large)
    return np.stack([stretch(np.asarray(c, np.float32), breast) for c in channels], axis=-1)


def sift(grey: Bytes, thinnest_px: int, longest_px: int) -> NDArray[np.float32]:
    """Sum over directions of what is between the two lengths, float32 (rows, columns)."""
    border = longest_px // 2 + 1
    framed = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REFLECT)
    total = np.zeros(framed.shape, np.uint16)  # 18 * 255 fits
    for direction in range(DIRECTIONS):
        degrees = 180.0 / DIRECTIONS * direction
        long_line, short_line = line(longest_px, degrees), line(thinnest_px, degrees)
        top_hat = cv2.subtract(framed, cv2.morphologyEx(framed, cv2.MORPH_OPEN, long_line))
        opened = cv2.morphologyEx(top_hat, cv2.MORPH_OPEN, short_line)
        total += np.asarray(opened, np.uint16)
    inner = total[border:-border, border:-border]
    return inner.astype(np.float32)


@lru_cache(maxsize=8 * DIRECTIONS)
def line(length_px: int, degrees: float) -> Bytes:
    """A digital line through the centre of a square structuring element, uint8 0 or 1."""
    half = (length_px - 1) / 2
    dx = round(half * float(np.cos(np.deg2rad(degrees))))
    dy = round(half * float(np.sin(np.deg2rad(degrees))))
    element = np.zeros((2 * abs(dy) + 1, 2 * abs(dx) + 1), np.uint8)
    centre_x, centre_y = abs(dx), abs(dy)
    start, end = (centre_x - dx, centre_y + dy), (centre_x + dx, centre_y - dy)
    cv2.line(element, start, end, color=(1,), thickness=1)
    return element


def stretch(channel: NDArray[np.float32], breast: NDArray[np.bool_]) -> Bytes:
    """Lowest to (nearly) highest value inside the breast become 0 to 255; 0 outside.

    Not the very highest: on film, the edge of a lead letter would leave the rest in the dark.
    """
    inside = channel[breast]
    if not inside.size:
        return np.zeros(channel.shape, np.uint8)
    low, high = np.percentile(inside, (0.0, _BRIGHTEST_PERCENTILE))
    levels = (channel - np.float32(low)) * np.float32(255.0 / max(float(high - low), 1e-6))
    return np.rint(np.clip(levels, 0.0, 255.0) * breast).astype(np.uint8)
