"""The ultrasound generator: determinism, and lesions that look as their nature has it."""

from __future__ import annotations

import numpy as np
import pytest

from phantoms.truth import LesionRequest, Margin
from phantoms.ultrasound import ultrasound

SMALL = (320, 400)
SEEDS = range(20, 28)


def lesion_and_behind(seed: int, margin: Margin) -> tuple[float, float]:
    """Mean level in the lesion, and behind it, both against the same depths beside it."""
    phantom = ultrasound(seed, SMALL, [LesionRequest("mass", margin, size_mm=11.0)])
    lesion = phantom.lesions[0]
    top, left = lesion.offset_px
    height, width = lesion.mask.shape
    bottom = top + height
    beside = np.ones(SMALL[1], np.bool_)
    beside[max(0, left - 20) : left + width + 20] = False
    core = slice(left + width // 3, left + 2 * width // 3)
    inside = phantom.pixels[top:bottom, left : left + width][lesion.mask].mean()
    level = phantom.pixels[top:bottom][:, beside].mean()
    behind = phantom.pixels[bottom + 4 : bottom + 44, core].mean()
    return inside - level, behind - phantom.pixels[bottom + 4 : bottom + 44][:, beside].mean()


def test_same_arguments_give_the_same_image() -> None:
    """Pixels and truth are equal to the last bit."""
    first, second = ultrasound(5, SMALL), ultrasound(5, SMALL)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.label == second.label


def test_image_is_what_is_promised() -> None:
    """Float32 in [0, 1], no raw signal, spacing of a shallow linear probe."""
    phantom = ultrasound(5)
    assert phantom.pixels.shape == (512, 640)
    assert phantom.pixels.dtype == np.float32
    assert phantom.pixels.min() >= 0.0
    assert phantom.pixels.max() <= 1.0
    assert phantom.raw is None
    assert phantom.view is None
    assert 0.07 <= phantom.pixel_spacing_mm[0] <= 0.095


@pytest.mark.parametrize("margin", ["circumscribed", "spiculated"])
def test_masses_are_darker_than_the_gland(margin: Margin) -> None:
    """Every mass is hypoechoic, whatever its margin."""
    assert max(lesion_and_behind(seed, margin)[0] for seed in SEEDS) < -0.08


def test_sound_is_enhanced_behind_benign_and_shadowed_behind_malignant() -> None:
    """On average over several images; single masses may do neither."""
    benign = np.mean([lesion_and_behind(seed, "circumscribed")[1] for seed in SEEDS])
    malignant = np.mean([lesion_and_behind(seed, "spiculated")[1] for seed in SEEDS])
    assert malignant + 0.1 < benign


def test_about_a_third_are_normal() -> None:
    """Counted over eighty seeds."""
    labels = [ultrasound(seed, (96, 120)).label for seed in range(80)]
    assert 0.18 < labels.count("normal") / len(labels) < 0.42


def test_other_kinds_are_refused() -> None:
    """Calcifications are not shown on ultrasound here."""
    with pytest.raises(ValueError, match="masses only"):
        ultrasound(1, SMALL, [LesionRequest("calcification_cluster")])


def test_impossible_shapes_are_refused() -> None:
    """A strip is not a section."""
    with pytest.raises(ValueError, match="cannot draw an ultrasound image"):
        ultrasound(1, (400, 100))
