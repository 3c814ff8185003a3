"""The whole mammogram on a small square, as Alghamdi (paper 002, section IV) feeds MTU-Net.

"The images were resized to 256 x 256 pixels": both axes are squeezed, each by its own factor. At
that size a calcification of 0.3 mm is a quarter of a pixel, which is why the served model looks at
tiles of 256 x 256 px instead (`models.mtu_net.preprocess`); this path is for comparison with the
paper. Only numpy and OpenCV.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.contract import ModelInputError
from models.imaging.geometry import Placement

SIDE_PX = 256


def whole_image(
    pixels: NDArray[np.float32], side_px: int = SIDE_PX
) -> tuple[NDArray[np.uint8], Placement]:
    """Grey levels uint8 (side, side) of pixels (rows, columns) in [0, 1], and the way back.

    Raises ModelInputError for values that are not numbers.
    """
    if not np.isfinite(pixels).all():
        raise ModelInputError("the image holds values that are not numbers")
    rows, columns = pixels.shape
    side = (side_px, side_px)
    placement = Placement((rows, columns), (0, 0, rows, columns), side, (0, 0), side)
    levels = np.rint(np.clip(placement.resize(pixels), 0.0, 1.0) * 255.0)
    return levels.astype(np.uint8), placement
