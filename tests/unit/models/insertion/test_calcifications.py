from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import FindingKind
from models.insertion.calcifications import add_single_specks, insert_artery, insert_cluster
from models.insertion.calcifications_shapes import LOOKS, STEP_MM, Morphology, course
from models.insertion.inserted import NoRoomError

SPACING_MM = 0.2
Background = tuple[NDArray[np.float32], NDArray[np.bool_]]


@pytest.fixture(name="background")
def a_background() -> Background:
    """A half disc of tissue, 100 mm tall, brighter towards its middle, with a little grain."""
    y, x = np.mgrid[-300:300, 0:350]
    radius = np.hypot(y / 250.0, x / 300.0)
    breast = radius < 1.0
    grain = np.random.default_rng(0).normal(0.0, 0.005, radius.shape)
    pixels = np.where(breast, 0.2 + 0.4 * (1.0 - radius) + grain, 0.0)
    return pixels.astype(np.float32), breast


@pytest.mark.parametrize("morphology", list(LOOKS))
def test_a_cluster_is_bright_specks_inside_its_mask(
    background: Background, morphology: Morphology
) -> None:
    """Pixels change only under the mask's neighbourhood, they only grow, and specks stay apart."""
    pixels, breast = background
    rng = np.random.default_rng(3)
    inserted = insert_cluster(pixels, breast, rng, SPACING_MM, morphology, extent_mm=10.0)
    added = inserted.pixels - pixels
    assert inserted.kind is FindingKind.CALCIFICATION_CLUSTER
    assert inserted.label == LOOKS[morphology].label
    assert added.min() >= -1e-6
    assert added.max() > 0.015  # three times the grain
    assert added[inserted.mask].sum() > 0.99 * added.sum()
    assert (added[inserted.mask] > 0.5 * added.max()).mean() < 0.2
    assert not inserted.mask[~breast].any()


def test_a_cluster_has_the_extent_that_was_asked_for(background: Background) -> None:
    """The hull of a cluster of 10 mm is at most 10 mm wide and 1 mm of margin on each side."""
    pixels, breast = background
    for seed in range(8):
        rng = np.random.default_rng(seed)
        mask = insert_cluster(pixels, breast, rng, SPACING_MM, extent_mm=10.0).mask
        rows, columns = np.nonzero(mask)
        longest_mm = np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1) * SPACING_MM
        assert 4.0 < longest_mm < 15.0


def test_the_grid_does_not_change_the_calcium(background: Background) -> None:
    """On pixels twice as wide the same specks add as much grey per area."""
    pixels, breast = background
    sums = []
    for step in (1, 2):
        coarse, inside = pixels[::step, ::step].copy(), breast[::step, ::step].copy()
        totals = [
            insert_cluster(
                coarse, inside, np.random.default_rng(seed), SPACING_MM * step, "round", 8.0
            ).pixels.sum()
            - coarse.sum()
            for seed in range(40)
        ]
        sums.append(float(np.mean(totals)) * (SPACING_MM * step) ** 2)
    assert sums[1] == pytest.approx(sums[0], rel=0.2)


def test_an_artery_is_long_and_thin(background: Background) -> None:
    """Its mask follows a line: a length of centimetres, a width of millimetres."""
    pixels, breast = background
    rng = np.random.default_rng(1)
    inserted = insert_artery(pixels, breast, rng, SPACING_MM, length_mm=40.0)
    area_mm2 = inserted.mask.sum() * SPACING_MM**2
    rows, columns = np.nonzero(inserted.mask)
    extent_mm = np.hypot(np.ptp(rows), np.ptp(columns)) * SPACING_MM
    assert inserted.kind is FindingKind.ARTERIAL_CALCIFICATION
    assert inserted.label == "benign"
    assert extent_mm > 12.0
    assert area_mm2 / extent_mm < 5.5
    assert not inserted.mask[~breast].any()


def test_a_course_is_smooth() -> None:
    """Points lie STEP_MM apart, and the vessel never turns sharply within a step."""
    for seed in range(10):
        steps = np.diff(course(np.random.default_rng(seed), 50.0), axis=0)
        np.testing.assert_allclose(np.hypot(*steps.T), STEP_MM, rtol=1e-3)
        headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        assert np.abs(np.diff(headings)).max() < 0.6


def test_an_insertion_repeats(background: Background) -> None:
    """The same generator gives the same image; the background itself is left as it was."""
    pixels, breast = background
    before = pixels.copy()
    first, second = (
        insert_artery(pixels, breast, np.random.default_rng(5), SPACING_MM) for _ in range(2)
    )
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(pixels, before)


def test_no_room_is_said(background: Background) -> None:
    """A breast of a few pixels takes no cluster."""
    pixels, _ = background
    tiny = np.zeros(pixels.shape, np.bool_)
    tiny[300:303, 10:13] = True
    with pytest.raises(NoRoomError):
        insert_cluster(pixels, tiny, np.random.default_rng(0), SPACING_MM)


def test_single_specks_are_no_finding(background: Background) -> None:
    """They brighten a few places and leave the rest alone."""
    pixels, breast = background
    lit = add_single_specks(pixels, breast, np.random.default_rng(2), SPACING_MM, 3)
    changed = np.abs(lit - pixels) > 0.01
    assert 3 <= changed.sum() < 300
