"""Geometry, identity and storage of findings."""

from __future__ import annotations

import dataclasses
import json
import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import FindingKind, ModelOutputError, Region
from node.store.tables import FindingRow, ModelRun
from tests.results import MODEL, MODEL_VERSION, disc, finding
from workers.findings import Finding, from_row, to_row


def _distances_px(found: Finding) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signed distances of pixel centres to the contour (inside positive): True, False pixels."""
    contour = np.array(found.contour_px, dtype=np.float32)
    padded = np.pad(found.mask, 2)
    row, column = found.offset_px
    distances = np.array(
        [
            cv2.pointPolygonTest(contour, (column + x - 2 + 0.5, row + y - 2 + 0.5), True)
            for y, x in np.ndindex(padded.shape)
        ]
    ).reshape(padded.shape)
    return distances[padded], distances[~padded]


def test_a_disc_has_the_area_and_the_axes_of_a_disc() -> None:
    """Both axes are the diameter and the area is that of the circle, in mm."""
    found = finding(disc(100))
    assert found.area_px == np.count_nonzero(found.mask)
    assert found.area_mm2 == pytest.approx(math.pi * 5.0**2, rel=0.02)
    assert found.long_axis_mm == pytest.approx(10.0, abs=0.15)
    assert found.short_axis_mm == pytest.approx(10.0, abs=0.15)


def test_axes_are_measured_in_mm_where_pixels_are_not_square() -> None:
    """Rows 0.5 mm apart and columns 0.1 mm apart make a tall thing of a square."""
    found = finding(np.ones((20, 20), dtype=bool), spacing_mm=(0.5, 0.1))
    assert found.area_mm2 == pytest.approx(20 * 0.5 * 20 * 0.1)
    assert found.long_axis_mm == pytest.approx(math.hypot(10.0, 2.0))
    # The short axis stands at a right angle to the diagonal that is the long one.
    assert found.short_axis_mm == pytest.approx(2 * 10.0 * 2.0 / math.hypot(10.0, 2.0))


def test_without_spacing_there_are_no_millimetres() -> None:
    """Pixels are still counted."""
    found = finding(spacing_mm=None)
    assert (found.area_mm2, found.long_axis_mm, found.short_axis_mm) == (None, None, None)
    assert found.area_px > 0


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(disc(60), id="disc"),
        pytest.param(np.eye(40, dtype=bool), id="diagonal line"),
        pytest.param(np.ones((1, 30), dtype=bool), id="row"),
        pytest.param(np.ones((1, 1), dtype=bool), id="pixel"),
        pytest.param(np.tril(np.ones((30, 30), dtype=bool)), id="triangle"),
    ],
)
def test_the_contour_encloses_the_mask_to_within_a_pixel(mask: NDArray[np.bool_]) -> None:
    """No pixel centre lies on the wrong side of the contour by more than a pixel."""
    found = finding(mask, offset_px=(7, 11))
    inside, outside = _distances_px(found)
    assert len(found.contour_px) >= 3
    assert inside.min() > -1.0
    assert outside.max() < 1.0


def test_of_several_parts_the_contour_is_the_largest_and_the_area_all() -> None:
    """A calcification cluster counts every speck."""
    mask = np.zeros((50, 50), dtype=bool)
    mask[5:8, 5:8] = True
    mask[20:40, 20:40] = True
    found = finding(mask, offset_px=(0, 0), kind=FindingKind.CALCIFICATION_CLUSTER)
    assert found.area_px == 9 + 400
    assert min(x for x, _ in found.contour_px) == 20.0
    assert max(y for _, y in found.contour_px) == 40.0
    assert found.long_axis_mm == pytest.approx(math.hypot(3.5, 3.5))


def test_a_loose_crop_becomes_tight() -> None:
    """Box and offset are those of the True pixels, whatever the model cropped."""
    mask = np.zeros((30, 40), dtype=bool)
    mask[10:15, 20:22] = True
    found = finding(mask, offset_px=(100, 200))
    assert found.offset_px == (110, 220)
    assert found.box_px == (220, 110, 222, 115)
    assert found.mask.shape == (5, 2)
    assert found.mask.all()


def test_an_empty_region_breaks_the_contract() -> None:
    """A region without a pixel is the model's mistake."""
    with pytest.raises(ModelOutputError, match="without a single pixel"):
        finding(np.zeros((5, 5), dtype=bool))


def test_the_tracking_uid_is_derived() -> None:
    """The same finding has the same UID; another revision or number has another."""
    assert finding().tracking_uid == finding().tracking_uid
    others = {finding(revision=2).tracking_uid, finding(number=2).tracking_uid}
    assert len(others | {finding().tracking_uid}) == 3


@pytest.mark.parametrize("spacing_mm", [(0.07, 0.1), None])
def test_a_row_gives_the_finding_back(spacing_mm: tuple[float, float] | None) -> None:
    """Round trip through the row, its JSON columns included, is exact."""
    found = finding(np.random.default_rng(3).random((37, 53)) > 0.5, spacing_mm=spacing_mm)
    row = to_row(found)
    row.contour_px = json.loads(json.dumps(row.contour_px))
    row.box_px = json.loads(json.dumps(row.box_px))
    run = ModelRun(model=MODEL, model_version=MODEL_VERSION, source_sop_uid="1.2.3.4")
    again = from_row(row, run)
    assert again.mask.dtype == np.bool_
    np.testing.assert_array_equal(again.mask, found.mask)
    assert dataclasses.replace(again, mask=found.mask) == found


def test_the_stored_mask_has_one_bit_per_pixel() -> None:
    """PNG, chunk IHDR: bit depth 1."""
    row = to_row(finding())
    assert row.mask_png[:8] == b"\x89PNG\r\n\x1a\n"
    assert row.mask_png[24] == 1


def test_a_damaged_mask_is_said_to_be_damaged() -> None:
    """Bytes that are no PNG raise ValueError."""
    row: FindingRow = to_row(finding())
    row.mask_png = b"not a picture"
    run = ModelRun(model=MODEL, model_version=MODEL_VERSION, source_sop_uid="1.2.3.4")
    with pytest.raises(ValueError, match="PNG"):
        from_row(row, run)


def test_the_region_is_not_changed() -> None:
    """A finding owns its mask."""
    mask = disc(10)
    region = Region(FindingKind.MASS, 0.5, mask, (0, 0))
    found = finding(region.mask)
    found.mask[:] = False
    assert mask.any()


def test_every_part_has_its_outline() -> None:
    """A cluster of three specks gives three outlines, the largest first, each around its pixels."""
    mask = np.zeros((30, 40), dtype=bool)
    mask[2:4, 3:5], mask[10:20, 10:20], mask[25:26, 30:39] = True, True, True
    found = finding(mask, (100, 200))
    outlines = found.outlines_px
    assert outlines[0] == found.contour_px
    boxes = [
        (min(x), min(y), max(x), max(y)) for x, y in (zip(*line, strict=True) for line in outlines)
    ]
    assert boxes == [(210, 110, 220, 120), (230, 125, 239, 126), (203, 102, 205, 104)]
