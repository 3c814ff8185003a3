"""Placement of an image on a network's input, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract import FindingKind
from models.imaging.geometry import Placement, letterbox
from models.imaging.regions import region

PLACEMENTS = [
    letterbox((300, 500), (512, 512)),
    letterbox((700, 640), (512, 512)),
    letterbox((512, 512), (512, 512)),
    Placement((1200, 900), (100, 40, 1000, 333), (614, 205), (77, 300), (1024, 1024)),
]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_box_returns_to_the_pixels_it_came_from(placement: Placement) -> None:
    """A box given in image pixels survives the trip to the input and back exactly."""
    top, left = placement.crop_px[:2]
    rows_scale, columns_scale = placement.scale
    image_box = (left + 20.0, top + 30.5, left + 90.25, top + 120.0)
    x = [(edge - left) * columns_scale + placement.corner_px[1] for edge in image_box[::2]]
    y = [(edge - top) * rows_scale + placement.corner_px[0] for edge in image_box[1::2]]
    assert placement.box_to_image((x[0], y[0], x[1], y[1])) == pytest.approx(image_box)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_region_round_trips_within_one_pixel(placement: Placement) -> None:
    """An ellipse drawn in the image, read off the input as a 28 x 28 mask, returns to its place."""
    rows, columns = np.indices(placement.image_px)
    top, left, height, width = placement.crop_px
    centre = (top + 0.55 * height, left + 0.4 * width)
    radii = (0.2 * height, 0.15 * width)
    truth = ((rows + 0.5 - centre[0]) / radii[0]) ** 2 + (
        (columns + 0.5 - centre[1]) / radii[1]
    ) ** 2 <= 1
    on_input = placement.place(placement.resize(truth.astype(np.float32)))
    ys, xs = np.nonzero(on_input >= 0.5)
    box = (float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
    painted = region(FindingKind.MASS, 0.9, _sampled(on_input, box), box, placement)
    assert painted is not None
    assert _bounds(painted.mask, painted.offset_px) == pytest.approx(
        _bounds(truth, (0, 0)), abs=1 / min(placement.scale) + 1
    )
    whole = np.zeros_like(truth)
    (row, column), shape = painted.offset_px, painted.mask.shape
    whole[row : row + shape[0], column : column + shape[1]] = painted.mask
    assert np.mean(np.argwhere(whole), axis=0) == pytest.approx(
        np.mean(np.argwhere(truth), axis=0), abs=1.0
    )
    assert 2 * (whole & truth).sum() / (whole.sum() + truth.sum()) > 0.96


def test_letterbox_keeps_the_aspect_and_centres() -> None:
    """A wide frame fills the width and lies in the middle of the height."""
    placement = letterbox((300, 600), (512, 512))
    assert placement.resized_px == (256, 512)
    assert placement.corner_px == (128, 0)


def test_placement_refuses_to_leave_its_input() -> None:
    """A crop that would reach beyond the input is an error when made, not when used."""
    with pytest.raises(ValueError, match="does not fit"):
        Placement((100, 100), (0, 0, 100, 100), (200, 100), (0, 0), (128, 128))


def test_region_outside_the_image_is_no_finding() -> None:
    """A box in the padding beside the image gives nothing."""
    placement = letterbox((256, 512), (512, 512))
    ones = np.ones((28, 28), np.float32)
    assert region(FindingKind.MASS, 0.9, ones, (10, 10, 60, 90), placement) is None


def test_faint_mask_is_cut_at_half_its_peak() -> None:
    """A detection whose mask never reaches one half still has an outline."""
    placement = letterbox((512, 512), (512, 512))
    faint = np.zeros((28, 28), np.float32)
    faint[10:20, 10:20] = 0.3
    painted = region(FindingKind.MASS, 0.9, faint, (0, 0, 280, 280), placement)
    assert painted is not None
    assert painted.mask.shape == pytest.approx((100, 100), abs=12)


def test_region_at_the_border_stays_inside_the_image() -> None:
    """A box that sticks out is cut; the crop lies in the image."""
    placement = letterbox((512, 512), (512, 512))
    painted = region(
        FindingKind.MASS, 0.9, np.ones((28, 28), np.float32), (480, -20, 540, 30), placement
    )
    assert painted is not None
    assert painted.offset_px == (0, 480)
    assert painted.mask.shape == (30, 32)


def _sampled(on_input: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """A perfect network's mask: the truth averaged over 28 x 28 cells of the box."""
    x0, y0, x1, y1 = box
    fine = 8
    steps = (np.arange(28 * fine) + 0.5) / (28 * fine)
    rows = (y0 + (y1 - y0) * steps).astype(int)
    columns = (x0 + (x1 - x0) * steps).astype(int)
    cells = on_input[np.ix_(rows, columns)].reshape(28, fine, 28, fine).mean(axis=(1, 3))
    return cells.astype(np.float32)


def _bounds(mask: np.ndarray, offset_px: tuple[int, int]) -> list[int]:
    rows, columns = np.nonzero(mask)
    top, left = offset_px
    return [top + rows.min(), top + rows.max(), left + columns.min(), left + columns.max()]
