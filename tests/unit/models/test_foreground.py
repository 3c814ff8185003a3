from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import ModelInputError
from models.foreground import Box, breast_box, breast_mask, windowed


def mammogram() -> NDArray[np.float32]:
    """A breast at the left edge of a 900 x 700 px image with noisy air and a label."""
    rng = np.random.default_rng(0)
    pixels = np.abs(rng.normal(0, 0.004, (900, 700))).astype(np.float32)
    cv2.ellipse(pixels, (0, 450), (300, 380), 0, 0, 360, (0.35,), cv2.FILLED)
    cv2.ellipse(pixels, (120, 450), (90, 120), 0, 0, 360, (0.8,), cv2.FILLED)
    cv2.putText(pixels, "R CC", (520, 120), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (1.0,), 2)
    return pixels


def test_the_breast_without_the_label() -> None:
    """The box is the ellipse's, and burnt-in text is not breast."""
    mask = breast_mask(mammogram())
    box = breast_box(mask)
    assert (box.top, box.left) == (pytest.approx(70, abs=8), 0)
    assert (box.height, box.width) == (pytest.approx(761, abs=14), pytest.approx(301, abs=8))
    assert not mask[80:130, 520:680].any()


def test_holes_belong_to_the_breast() -> None:
    """Dark fat inside the outline is still breast."""
    pixels = mammogram()
    pixels[430:470, 150:200] = 0.0
    assert breast_mask(pixels)[450, 175]


def test_windowing_keeps_room_above() -> None:
    """The upper percentile lands at `top`, calcium above it keeps its distance, air is 0."""
    pixels = mammogram()
    pixels[300:303, 100:103] = 1.5
    mask = breast_mask(pixels)
    levels = windowed(pixels, mask, (1.0, 99.5), 0.8)
    assert levels[~mask].max() == 0
    assert levels[450, 120] == pytest.approx(204, abs=2)
    assert levels[301, 101] == 255


def test_a_narrow_range_is_not_stretched_beyond_a_limit() -> None:
    """Percentiles 0.1 apart, where 0.4 is the narrowest window, fill a quarter of the range."""
    pixels = np.linspace(0.5, 0.6, 10_000, dtype=np.float32).reshape(100, 100)
    levels = windowed(pixels, np.ones(pixels.shape, np.bool_), (0.0, 100.0), 1.0, narrowest=0.4)
    assert levels.min() == 0
    assert levels.max() == pytest.approx(255 / 4, abs=1)


@pytest.mark.parametrize(
    "pixels", [np.zeros((300, 300), np.float32), np.full((300, 300), np.inf, np.float32)]
)
def test_no_breast_is_said(pixels: NDArray[np.float32]) -> None:
    """Air alone and broken values raise ModelInputError."""
    with pytest.raises(ModelInputError):
        breast_mask(pixels)


def test_box_crops() -> None:
    """A box cuts the rows and columns it names."""
    array = np.arange(20).reshape(4, 5)
    np.testing.assert_array_equal(Box(1, 2, 2, 3).crop(array), [[7, 8, 9], [12, 13, 14]])


def test_dark_fat_of_a_steep_window_is_breast() -> None:
    """On a detector's black air, fat at a tenth of the brightest tissue stays in the mask."""
    pixels = np.zeros((900, 700), np.float32)
    cv2.ellipse(pixels, (0, 450), (300, 380), 0, 0, 360, (0.06,), cv2.FILLED)
    cv2.ellipse(pixels, (120, 450), (90, 120), 0, 0, 360, (0.95,), cv2.FILLED)
    mask = breast_mask(pixels)
    assert mask[450, 280]
    assert not mask[450, 330]


def test_base_of_a_film_is_not_breast() -> None:
    """A film whose base is brighter than black, on a black scanner bed, is not taken for breast."""
    pixels = np.zeros((900, 700), np.float32)
    pixels[:, 100:650] = 0.05
    cv2.ellipse(pixels, (100, 450), (300, 380), 0, 0, 360, (0.5,), cv2.FILLED)
    mask = breast_mask(pixels)
    assert mask[450, 380]
    assert not mask[450, 500]
