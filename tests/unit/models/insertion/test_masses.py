"""Synthetic masses: where they lie, what they change, and that their masks are exact."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.contract import FindingKind
from models.insertion.inserted import Inserted, NoRoomError
from models.insertion.masses import DIAMETER_MM, insert_mass, shoulder
from models.insertion.shapes import SHAPES, Shape, draw
from tests.unit.models.insertion.backgrounds import SPACING_MM, background


@pytest.mark.parametrize("seed", range(12))
def test_mask_lies_in_the_breast_and_the_mass_is_brighter(seed: int) -> None:
    """Every mass is inside the breast, brighter than what was there, and of a plausible size."""
    pixels, breast = background(seed)
    made = insert_mass(pixels, breast, np.random.default_rng(seed), SPACING_MM)
    assert made.kind is FindingKind.MASS
    assert not (made.mask & ~breast).any()
    gained = made.pixels - pixels
    assert gained.min() >= -1e-6
    assert gained[made.mask].mean() > 0.02
    across_mm = 2.0 * np.sqrt(made.mask.sum() / np.pi) * SPACING_MM
    assert 0.5 * DIAMETER_MM[0] < across_mm < 1.3 * DIAMETER_MM[1]


def test_far_from_the_mass_no_pixel_changes() -> None:
    """Beyond three radii, where the longest spicule has ended, the image is the one given."""
    pixels, breast = background()
    rng = np.random.default_rng(5)
    made = insert_mass(pixels, breast, rng, SPACING_MM, "spiculated", diameter_mm=20.0)
    far = cv2.distanceTransform((~made.mask).astype(np.uint8), cv2.DIST_L2, 5) > 2.5 * 20.0
    assert far.any()
    assert np.array_equal(made.pixels[far], pixels[far])
    assert np.array_equal(background()[0], pixels)


@pytest.mark.parametrize("shape", SHAPES)
def test_size_is_in_millimetres(shape: Shape) -> None:
    """The same mass on a grid twice as fine has four times as many pixels."""
    areas = []
    for spacing in (0.5, 0.25):
        patch = draw(shape, 8.0 / spacing, spacing, np.random.default_rng(3))
        areas.append(float(patch.core.sum()) * spacing**2)
    assert areas[1] == pytest.approx(areas[0], rel=0.05)
    assert areas[0] == pytest.approx(np.pi * 8.0**2, rel=0.35)


def _roundness(shape: Shape, seed: int) -> float:
    core = draw(shape, 40.0, 0.25, np.random.default_rng(seed)).core.astype(np.uint8)
    (contour, *_), _ = cv2.findContours(core, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.contourArea(cv2.convexHull(contour))
    return cv2.contourArea(contour) / hull


def test_round_masses_are_convex_and_irregular_ones_are_not() -> None:
    """The share of its convex hull that an outline fills tells the shapes apart."""
    round_, irregular = (
        np.mean([_roundness(shape, seed) for seed in range(8)]) for shape in ("round", "irregular")
    )
    assert round_ > 0.98
    assert irregular < round_ - 0.02


def test_spicules_reach_beyond_the_core() -> None:
    """A spiculated mass has thickness further out than a round one."""

    def outside(shape: Shape) -> float:
        patch = draw(shape, 30.0, 0.25, np.random.default_rng(1))
        side = patch.core.shape[0]
        y, x = np.indices((side, side)) - side // 2
        return float(patch.thickness[np.hypot(x, y) > 45.0].sum())

    assert outside("spiculated") > 5.0
    assert outside("round") < 1.0


def test_shape_tells_the_label() -> None:
    """Round and lobulated are what a reader calls benign, irregular and spiculated malignant."""
    pixels, breast = background()
    labels = [
        insert_mass(pixels, breast, np.random.default_rng(1), SPACING_MM, shape).label
        for shape in SHAPES
    ]
    assert labels == ["benign", "benign", "malignant", "malignant"]


def test_same_generator_same_mass() -> None:
    """Training samples are made again from their seeds."""
    pixels, breast = background()
    first, second = (
        insert_mass(pixels, breast, np.random.default_rng(9), SPACING_MM) for _ in range(2)
    )
    assert np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(first.mask, second.mask)


def test_no_room_is_said() -> None:
    """A mass wider than the breast is refused."""
    pixels, breast = background()
    with pytest.raises(NoRoomError):
        insert_mass(pixels, breast, np.random.default_rng(0), SPACING_MM, diameter_mm=400.0)


def test_shoulder_is_linear_in_the_dark_and_never_passes_white() -> None:
    """Small contrasts are summed; near white they are compressed."""
    dark, bright = np.float32([0.2]), np.float32([0.98])
    assert shoulder(dark, np.float32([0.02]))[0] == pytest.approx(0.22, abs=5e-4)
    assert 0.98 < shoulder(bright, np.float32([0.5]))[0] <= 1.0


def test_inserted_needs_a_mask() -> None:
    """A lesion without pixels, or a mask of another image, is a mistake of the caller."""
    pixels = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="no pixels"):
        Inserted(pixels, np.zeros((4, 4), bool), FindingKind.MASS, "benign")
    with pytest.raises(ValueError, match="do not agree"):
        Inserted(pixels, np.ones((4, 5), bool), FindingKind.MASS, "benign")
