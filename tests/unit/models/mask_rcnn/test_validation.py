"""The figures that training prints."""

from __future__ import annotations

import numpy as np
import pytest

from models.mask_rcnn.validation import Found, Seen, figures


def _seen() -> list[Seen]:
    """Four images with five masses; the detections of all stand on the first two."""
    first = (
        Found(0.9, hit=True, dice=0.8),
        Found(0.8, hit=False),
        *[Found(0.6 - 0.01 * number, hit=False) for number in range(4)],
    )
    second = (Found(0.7, hit=True, dice=0.6), Found(0.1, hit=True, dice=0.1))
    return [Seen(first, 1, True), Seen(second, 2, False), Seen((), 1, True), Seen((), 1)]


def test_free_response_curve_of_known_detections() -> None:
    """Sensitivity is read where the false positives per image are still within the limit."""
    result = figures(_seen())
    assert result["sensitivity_at_1_fp"] == 0.4
    assert result["sensitivity_at_quarter_fp"] == 0.4
    assert result["threshold_at_quarter_fp"] == 0.7
    assert result["dice_of_hits"] == pytest.approx(0.7)
    assert result["accuracy"] == pytest.approx(2 / 3)


def test_weights_count_images_several_times() -> None:
    """A sample with the second image three times has six of its masses, all found."""
    result = figures(_seen(), np.array([0.0, 3.0, 0.0, 1.0]))
    assert result["masses"] == 7
    assert result["sensitivity_at_quarter_fp"] == pytest.approx(6 / 7)
    assert result["accuracy"] == 0.0


def test_nothing_found_is_zero_not_an_error() -> None:
    """A network that is silent has sensitivity 0."""
    assert figures([Seen((), 1), Seen((), 2)])["sensitivity_at_1_fp"] == 0.0
