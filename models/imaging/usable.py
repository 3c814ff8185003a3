"""Whether pixels can be given to a model at all; only numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.contract import ModelInputError


def refuse_unusable(pixels: NDArray[np.float32], smallest_px: int, what: str) -> None:
    """Raise ModelInputError: not (rows, columns), too small for `what`, or not all finite."""
    if pixels.ndim != 2 or min(pixels.shape) < smallest_px:
        raise ModelInputError(f"an image of {pixels.shape} px is too small for {what}")
    if not np.isfinite(pixels).all():
        raise ModelInputError("the image holds values that are not numbers")
