"""Patches of 256 px with their masks, mirrored and turned together."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from models.imaging.patches import PATCH_PX, cut, patches, transform

IDENTITY = np.eye(2)


def _image() -> tuple[np.ndarray, np.ndarray]:
    pixels = np.random.default_rng(0).random((600, 500)).astype(np.float32)
    mask = np.zeros((600, 500), bool)
    mask[280:320, 240:300] = True
    return pixels, mask


def test_unturned_patch_is_a_crop() -> None:
    """Without rotation and mirroring, pixels and mask are those of the image."""
    pixels, mask = _image()
    patch = cut(pixels, mask, (299.5, 269.5), IDENTITY)
    rows, columns = slice(172, 428), slice(142, 398)
    assert patch.pixels.shape == (PATCH_PX, PATCH_PX)
    assert patch.pixels == pytest.approx(pixels[rows, columns], abs=1e-5)
    assert np.array_equal(patch.mask, mask[rows, columns])


@pytest.mark.parametrize("seed", range(5))
def test_mask_turns_with_the_pixels(seed: int) -> None:
    """Where the lesion is drawn in the pixels, the mask says so, whatever the transform."""
    _, mask = _image()
    patch = cut(mask.astype(np.float32), mask, (300, 270), transform(np.random.default_rng(seed)))
    assert np.array_equal(patch.pixels >= 0.5, patch.mask)
    assert patch.mask.sum() == pytest.approx(mask.sum(), rel=0.02)


def test_rotation_stays_within_its_limit() -> None:
    """The matrix is a mirror followed by a turn of at most 30 degrees, and changes no size."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        matrix = transform(rng)
        assert abs(np.linalg.det(matrix)) == pytest.approx(1.0)
        assert abs(matrix[0, 0]) >= np.cos(np.deg2rad(30.0)) - 1e-9


def test_half_of_the_patches_show_the_lesion() -> None:
    """Around half are centred near the lesion; the rest come from anywhere in the breast."""
    pixels, mask = _image()
    breast = np.ones(mask.shape, bool)
    drawn = islice(patches(pixels, mask, breast, np.random.default_rng(2), 64), 200)
    share = np.mean([patch.mask.any() for patch in drawn])
    assert 0.4 < share < 0.75


def test_beyond_the_image_there_is_nothing() -> None:
    """A patch at the corner is padded with 0 and has no lesion there."""
    pixels, mask = _image()
    patch = cut(pixels, mask, (0, 0), IDENTITY)
    assert not patch.pixels[:100, :100].any()
    assert not patch.mask[:100, :100].any()
