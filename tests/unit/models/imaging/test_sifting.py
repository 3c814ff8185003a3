"""Multi-scale morphological sifting: what lights up in which channel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.imaging.sifting import LINE_PX, line, pseudo_colour, sift, stretch


def _disc(diameter_px: int, size: int = 400) -> np.ndarray:
    y, x = np.indices((size, size)) - size / 2 + 0.5
    return np.where(np.hypot(x, y) <= diameter_px / 2, 200, 60).astype(np.uint8)


def test_small_mass_shows_in_the_small_channel_only() -> None:
    """A disc of 30 px passes the sieve of 15 to 61 px and falls through that of 61 to 245 px."""
    centre = (slice(195, 205), slice(195, 205))
    assert sift(_disc(30), 15, 61)[centre].min() > 1000
    assert sift(_disc(30), 61, 245)[centre].max() == 0


def test_large_mass_shows_in_the_large_channel_only() -> None:
    """A disc of 120 px is too long for the small scale and passes the large one."""
    centre = (slice(195, 205), slice(195, 205))
    assert sift(_disc(120), 15, 61)[centre].max() == 0
    assert sift(_disc(120), 61, 245)[centre].min() > 1000


def test_vessel_is_fainter_than_a_mass() -> None:
    """A bright line as long as the image and 40 px wide passes in fewer directions."""
    image = np.full((400, 400), 60, np.uint8)
    image[180:220] = 200
    vessel, mass = sift(image, 15, 61)[200, 200], sift(_disc(30), 15, 61)[200, 200]
    assert vessel < 0.8 * mass


@pytest.mark.parametrize("degrees", [0, 25, 45, 90])
def test_line_of_any_direction_fades(degrees: int) -> None:
    """A long bright line 5 px wide, as a vessel is, keeps less than half of a mass's answer."""
    image = np.full((400, 400), 60, np.uint8)
    turn = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    start, end = (tuple(int(x) for x in 200 + sign * 400 * turn) for sign in (-1, 1))
    cv2.line(image, start, end, (200,), thickness=5)
    mass = sift(_disc(30), 15, 61)[200, 200]
    assert sift(image, 15, 61)[150:250, 150:250].max() < 0.4 * mass


def test_pseudo_colour_is_zero_outside_the_breast() -> None:
    """Every channel is 0 outside the mask and uses the whole range inside."""
    breast = np.zeros((400, 400), bool)
    breast[:, :300] = True
    colour = pseudo_colour(_disc(40), breast)
    assert colour.shape == (400, 400, 3)
    assert colour.dtype == np.uint8
    assert not colour[~breast].any()
    assert colour[..., 0].max() == 255
    assert colour[..., 1].max() == 255


def test_coarse_large_scale_is_nearly_the_fine_one() -> None:
    """Computing the large scale on every second pixel changes little where there is a mass."""
    rng = np.random.default_rng(1)
    image = np.clip(_disc(110).astype(float) + rng.normal(0, 5, (400, 400)), 0, 255)
    breast = np.ones((400, 400), bool)
    fine = stretch(sift(image.astype(np.uint8), 61, 245), breast).astype(float)
    coarse = pseudo_colour(image.astype(np.uint8), breast)[..., 2].astype(float)
    assert np.corrcoef(fine.ravel(), coarse.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("degrees", [0, 10, 45, 90, 130])
@pytest.mark.parametrize("length_px", LINE_PX)
def test_line_element_is_one_line_through_the_centre(length_px: int, degrees: float) -> None:
    """The structuring element has odd sides, holds its centre and is as long as asked."""
    element = line(length_px, degrees)
    rows, columns = element.shape
    assert rows % 2 == columns % 2 == 1
    assert element[rows // 2, columns // 2] == 1
    assert np.hypot(rows - 1, columns - 1) == pytest.approx(length_px - 1, abs=1.5)


def test_flat_channel_stays_dark() -> None:
    """A channel without any contrast becomes 0, not noise."""
    flat = np.full((50, 50), 7.0, np.float32)
    assert not stretch(flat, np.ones((50, 50), bool)).any()
