"""The figures that training prints."""

from __future__ import annotations

import pytest

from models.mask_rcnn.validation import Found, metrics


def test_free_response_curve_of_known_detections() -> None:
    """Sensitivity is read where the false positives per image are still within the limit."""
    found = [
        Found(0.9, hit=True, dice=0.8),
        Found(0.8, hit=False),
        Found(0.7, hit=True, dice=0.6),
        *[Found(0.6 - 0.01 * number, hit=False) for number in range(4)],
        Found(0.1, hit=True, dice=0.1),
    ]
    result = metrics(found, masses=4, images=4)
    assert result["sensitivity_at_1_fp"] == 0.5
    assert result["sensitivity_at_quarter_fp"] == 0.5
    assert result["threshold_at_quarter_fp"] == 0.7
    assert result["dice_of_hits"] == pytest.approx(0.7)


def test_nothing_found_is_zero_not_an_error() -> None:
    """A network that is silent has sensitivity 0."""
    assert metrics([], masses=3, images=5)["sensitivity_at_1_fp"] == 0.0
