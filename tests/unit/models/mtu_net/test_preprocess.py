from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import BreastImage, ModelInputError
from models.mtu_net.preprocess import preprocess, tile_origins, working_image
from models.mtu_net.spec import SPEC, STRIDE_PX, TILE_PX, WORKING_SPACING_MM

SPACING_MM = 0.3


def half_disc(height: int = 600, width: int = 480, radius: int = 250) -> NDArray[np.float32]:
    """A breast of 150 mm: half a disc of grey at the left edge, float32 (rows, columns)."""
    pixels = np.zeros((height, width), np.float32)
    cv2.circle(pixels, (0, height // 2), radius, (0.5,), cv2.FILLED)
    return pixels


def image(spacing_mm: tuple[float, float] | None = (SPACING_MM, SPACING_MM)) -> BreastImage:
    return BreastImage(half_disc(), "MG", "L", "CC", spacing_mm)


def test_tiles_match_the_spec() -> None:
    """Tiles are what the spec promises Triton, one row per origin."""
    prepared = preprocess(image())
    tiles = prepared.tensors[SPEC.inputs[0].name]
    assert tiles.dtype == np.uint8
    assert tiles.shape == (len(prepared.geometry.origins), *SPEC.inputs[0].shape)


def test_the_working_grid_has_its_pitch() -> None:
    """A breast of 150 mm covers 150 mm of the working grid."""
    _, _, grid = working_image(image())
    assert grid.shape[0] == pytest.approx(501 * SPACING_MM / WORKING_SPACING_MM, abs=6)


def test_resolution_of_the_image_does_not_matter() -> None:
    """The same breast at twice the resolution gives the same grid."""
    fine = cv2.resize(half_disc(), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    twice = BreastImage(fine, "MG", "L", "CC", (SPACING_MM / 2, SPACING_MM / 2))
    shapes = [np.array(working_image(each)[2].shape) for each in (image(), twice)]
    assert np.abs(shapes[0] - shapes[1]).max() <= 8


@pytest.mark.parametrize("spacing_mm", [None, (50.0, 50.0), (0.0001, 0.0001)])
def test_an_untold_or_impossible_spacing_is_replaced(
    spacing_mm: tuple[float, float] | None,
) -> None:
    """Without a usable spacing the breast is taken to be of average height."""
    _, _, grid = working_image(image(spacing_mm))
    assert grid.shape[0] == round(165.0 / WORKING_SPACING_MM)


def test_tiles_cover_the_breast() -> None:
    """Every breast pixel lies in a tile, and neighbours overlap."""
    _, breast, grid = working_image(image())
    covered = np.zeros(breast.shape, bool)
    for row, column in grid.origins:
        covered[row : row + TILE_PX, column : column + TILE_PX] = True
    assert (breast & ~covered).sum() < 0.01 * breast.sum()
    rows = sorted({row for row, _ in grid.origins})
    assert max(np.diff(rows)) <= STRIDE_PX


def test_air_is_not_sent() -> None:
    """Tiles without breast are left out."""
    breast = np.zeros((1000, 1000), bool)
    breast[:100, :100] = True
    assert tile_origins(breast) == ((0, 0),)


def test_a_small_breast_is_padded_to_one_tile() -> None:
    """A breast smaller than a tile still makes a full one."""
    small = np.zeros((200, 200), np.float32)
    small[40:160, :60] = 0.5
    prepared = preprocess(BreastImage(small, "MG", pixel_spacing_mm=(0.3, 0.3)))
    assert prepared.tensors["tiles"].shape == (1, 1, TILE_PX, TILE_PX)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((500, 400), np.float32),
        np.full((500, 400), np.nan, np.float32),
        np.ones((10, 10), np.float32),
    ],
)
def test_images_without_a_breast_are_refused(pixels: NDArray[np.float32]) -> None:
    """Black, broken and tiny images raise ModelInputError."""
    with pytest.raises(ModelInputError):
        preprocess(BreastImage(pixels, "MG", pixel_spacing_mm=(0.2, 0.2)))
