"""The whole image on 256 x 256 px, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract import ModelInputError
from models.imaging.whole import whole_image


def test_both_axes_are_squeezed_onto_the_square() -> None:
    """A bright quarter of any image is a bright quarter of the square, and finds its way back."""
    pixels = np.zeros((1000, 700), np.float32)
    pixels[500:, 350:] = 1.0
    square, placement = whole_image(pixels)
    assert square.shape == (256, 256)
    assert square.dtype == np.uint8
    assert square[130:, 130:].min() == 255
    assert square[:126].max() == 0
    assert placement.box_to_image((128, 128, 256, 256)).tolist() == [350, 500, 700, 1000]


def test_values_that_are_not_numbers_are_refused() -> None:
    """A NaN would spread over the square."""
    with pytest.raises(ModelInputError):
        whole_image(np.full((100, 100), np.nan, np.float32))
