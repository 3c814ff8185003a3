"""From an ultrasound frame to the three-channel square that the network sees.

In: a `BreastImage`. Out: FP32 (1, 3, 256, 256) and its placement: the whole frame, aspect kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, ModelInputError, Prepared
from models.imaging.geometry import letterbox
from models.imaging.speckle import three_channels
from models.imaging.usable import refuse_unusable
from models.mask_rcnn import tensors
from models.mask_rcnn_us.spec import CONFIG, SMALLEST_IMAGE_PX, WINDOW_PERCENTILES

_FLATTEST = 1e-3  # of the full range: below that there is no picture


def preprocess(image: BreastImage) -> Prepared:
    """Tensors of one frame. Raises ModelInputError: too small, not finite, or empty."""
    pixels = image.pixels
    refuse_unusable(pixels, SMALLEST_IMAGE_PX, "ultrasound")
    rows, columns = pixels.shape
    placement = letterbox((rows, columns), CONFIG.input_px)
    channels = three_channels(_bytes(placement.resize(pixels)))
    return Prepared({tensors.INPUT: tensors.as_input(placement.place(channels))}, placement)


def _bytes(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey values stretched between two percentiles: gain settings differ from exam to exam."""
    low, high = np.percentile(pixels, WINDOW_PERCENTILES)
    if high - low < _FLATTEST:
        raise ModelInputError("the image is empty")
    levels = (pixels - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.rint(np.clip(levels, 0.0, 255.0)).astype(np.uint8)
