"""Grey levels mean the same from every vendor: polarity, For Processing, range."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import BreastImage
from models.imaging.intensity import evened, is_inverted, presented

SPACING_MM = 0.5


def _breast() -> NDArray[np.bool_]:
    mask = np.zeros((400, 300), np.uint8)
    cv2.ellipse(mask, (0, 200), (200, 185), 0, 0, 360, (1,), cv2.FILLED)
    return mask > 0


def _unevened() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A breast of even tissue whose thickness falls over the outer 25 mm, with one dense spot."""
    breast = _breast()
    framed = cv2.copyMakeBorder(breast.astype(np.uint8), 0, 0, 400, 0, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[:, 400:] * SPACING_MM
    pixels = 0.6 * np.sqrt(np.clip(depth / 25.0, 0.0, 1.0)) * breast
    cv2.circle(pixels, (100, 200), 10, (0.8,), cv2.FILLED)
    return pixels.astype(np.float32), breast


@pytest.mark.parametrize("mirrored", [False, True])
def test_inverted_picture_is_told_by_its_corners(mirrored: bool) -> None:
    """The side that the breast leaves to the air decides, whichever it is."""
    pixels, _ = _unevened()
    pixels = pixels[:, ::-1] if mirrored else pixels
    assert not is_inverted(pixels)
    assert is_inverted(1.0 - pixels)


def test_inverted_picture_with_a_dark_frame_is_still_told() -> None:
    """One dark column at the edge, as some exports leave, does not hide the bright air."""
    pixels = 1.0 - _unevened()[0]
    pixels[:, -1] = 0.0
    assert is_inverted(pixels)


def test_for_presentation_is_left_alone() -> None:
    """What the device has prepared for reading is not prepared again."""
    pixels, breast = _unevened()
    assert presented(BreastImage(pixels, "MG"), breast) is pixels


def test_thin_rim_is_evened_and_the_lesion_stays() -> None:
    """For Processing, tissue near the skin comes to the level of the middle."""
    pixels, breast = _unevened()
    even = evened(pixels, breast, 30.0 / SPACING_MM)
    assert pixels[200, 190] < 0.3
    assert even[200, 190] == pytest.approx(0.6, abs=0.06)
    assert even[200, 100] == pytest.approx(0.8, abs=0.02)
    assert not even[~breast].any()


def test_for_processing_fills_the_range() -> None:
    """The result spans 0 to 1 inside the breast and is 0 outside, like an image for reading."""
    pixels, breast = _unevened()
    image = BreastImage(0.5 * pixels, "MG", None, None, (SPACING_MM,) * 2, for_processing=True)
    ready = presented(image, breast)
    assert ready.dtype == np.float32
    assert ready[200, 100] == pytest.approx(1.0, abs=0.02)
    assert not ready[~breast].any()
