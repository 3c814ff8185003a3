"""Grey levels that mean the same whatever sent the image.

In: pixels from 0 (air) to 1, as the reader of the object or picture left them. Out: pixels as an
image For Presentation has them. Three things differ between vendors: the polarity (MONOCHROME1,
PS3.3 C.7.6.3.1.2; a picture without a header does not tell), whether thickness was evened out (For
Presentation) or not (For Processing, PS3.3 C.8.11.7.1.2), and the range of grey, which
`models.foreground.windowed` takes from the breast itself. Only numpy and OpenCV.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage

Pixels = NDArray[np.float32]

_CORNER_SHARE = 0.04  # of the image's shorter side
_AIR, _INVERTED_AIR = 0.25, 0.6  # medians of a corner below and above which it is one or the other
_FLAT = 0.15  # deviation within a corner: air is flat, the edge of a lead letter or a film is not

_PERCENTILES, _TOP = (0.5, 99.8), 0.8
"""Where `stretched` puts these percentiles: 0, and this. A few pixels of markers must not decide
the contrast of the rest; specks of calcium, brighter than all tissue, keep what is above."""

PERIPHERY_MM = 30.0
"""How far from the skin a compressed breast may be thinner than between the plates."""

_DEFAULT_SPACING_MM = 0.25
_RINGS = 60
_GRID_PX = 512  # longest side of the grid on which distances are measured


def is_inverted(pixels: Pixels) -> bool:
    """Whether air is bright: for pictures whose photometric interpretation is unknown.

    The breast leaves both corners of one side to the air. Dark ones settle it. Otherwise flat
    bright ones, or a border that is mostly bright where frames have spoilt the corners, mean
    inverted grey.
    """
    size = max(2, round(_CORNER_SHARE * min(pixels.shape)))
    sides = (pixels[:, :size], pixels[:, -size:])
    corners = [(side[:size], side[-size:]) for side in sides]
    if any(max(map(np.median, pair)) < _AIR for pair in corners):
        return False
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return bool((border > 0.5).mean() > 0.5) or any(
        min(map(np.median, pair)) > _INVERTED_AIR and max(map(np.std, pair)) < _FLAT
        for pair in corners
    )


def stretched(values: NDArray[np.float64]) -> Pixels:
    """Grey from 0 to 1 of an image that tells no window, as the service's reader makes it.

    `values`: higher is brighter; For Processing, minus the logarithm of the exposure.
    """
    low, high = np.percentile(values, _PERCENTILES)
    grey = (values - low) * (_TOP / max(float(high - low), 1e-9))
    return np.asarray(np.clip(grey, 0.0, 1.0), np.float32)


def thickness_evened(image: BreastImage, breast: NDArray[np.bool_]) -> Pixels:
    """Pixels of an image For Presentation; those of one For Processing with their thin rim evened.

    For Processing, the logarithm was taken when the object was read. The range is left as it is.
    """
    if not image.for_processing:
        return image.pixels
    spacing_mm = image.pixel_spacing_mm[0] if image.pixel_spacing_mm else _DEFAULT_SPACING_MM
    return evened(image.pixels, breast, PERIPHERY_MM / spacing_mm)


def presented(image: BreastImage, breast: NDArray[np.bool_]) -> Pixels:
    """Pixels of an image For Presentation; those of one For Processing made alike.

    The thickness is evened out, then the breast's range stretched to all of the grey levels.
    """
    even = thickness_evened(image, breast)
    if not image.for_processing:
        return even
    low, high = np.percentile(even[breast], (1.0, 99.9))
    stretched = (even - np.float32(low)) / np.float32(max(float(high - low), 1e-6))
    return np.asarray(np.clip(stretched, 0.0, 1.0) * breast, np.float32)


def evened(pixels: Pixels, breast: NDArray[np.bool_], periphery_px: float) -> Pixels:
    """Add to each pixel near the skin what the breast is thinner there.

    Thickness at a distance from the skin is taken as the median attenuation of the ring at that
    distance, growing inwards; attenuations of thickness and of tissue are summed in the logarithm,
    so the difference to the innermost ring is what is missing.
    """
    distance = np.minimum(_skin_distance(breast), np.float32(periphery_px))
    ring = np.minimum((distance * (_RINGS / periphery_px)).astype(np.int32), _RINGS - 1)
    profile = np.full(_RINGS, np.nan)
    for number in range(_RINGS):
        values = pixels[breast & (ring == number)]
        if values.size:
            profile[number] = np.median(values)
    known = np.flatnonzero(np.isfinite(profile))
    if not known.size:
        return pixels.copy()
    profile = np.interp(np.arange(_RINGS), known, np.maximum.accumulate(profile[known]))
    missing = np.interp(distance, (np.arange(_RINGS) + 0.5) * periphery_px / _RINGS, profile)
    return np.asarray((pixels + (profile[-1] - missing)) * breast, np.float32)


def _skin_distance(breast: NDArray[np.bool_]) -> Pixels:
    """Distance in px of each pixel from the skin; the image's border is not skin."""
    rows, columns = breast.shape
    shrink = max(1.0, max(rows, columns) / _GRID_PX)
    size = (max(1, round(columns / shrink)), max(1, round(rows / shrink)))
    small = cv2.resize(breast.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    small_distance = cv2.distanceTransform(small, cv2.DIST_L2, cv2.DIST_MASK_5) * shrink
    distance = cv2.resize(small_distance, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(distance, np.float32)
