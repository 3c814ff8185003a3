"""Bits of BINARY frames, against pydicom's own reading of them."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.pixels.utils import unpack_bits

from tests.results import disc
from workers.dicom.binary_frames import Crop, overlap, pack_frames


def _unpacked(packed: bytes, n_frames: int, rows: int, columns: int) -> np.ndarray:
    bits = np.asarray(unpack_bits(packed), dtype=bool)
    return bits[: n_frames * rows * columns].reshape(n_frames, rows, columns)


# 8 x 4 pixels end at a byte, 7 x 5 do not, 3 x 3 frames begin within the byte of the one before.
@pytest.mark.parametrize(("rows", "columns"), [(8, 4), (7, 5), (3, 3), (1, 1), (40, 61)])
def test_frames_are_read_back_bit_for_bit(rows: int, columns: int) -> None:
    """Random masks, one crop as large as the frame, one pixel wide ones, none at all."""
    generator = np.random.default_rng(rows * columns)
    full = generator.random((rows, columns)) < 0.5
    corner = np.ones((1, 1), dtype=bool)
    frames = [
        [Crop(full, 0, 0)],
        [Crop(corner, rows - 1, columns - 1), Crop(corner, 0, 0)],
        [],
        [Crop(full[-1:], rows - 1, 0)],
    ]
    expected = np.zeros((4, rows, columns), dtype=bool)
    for frame, crops in zip(expected, frames, strict=True):
        for crop in crops:
            height, width = crop.mask.shape
            frame[crop.row : crop.row + height, crop.column : crop.column + width] |= crop.mask
    packed = pack_frames(frames, rows, columns)
    assert len(packed) % 2 == 0
    np.testing.assert_array_equal(_unpacked(packed, 4, rows, columns), expected)


def test_crops_of_one_frame_are_united() -> None:
    """The pixels of the second do not erase those of the first."""
    left, right = Crop(np.array([[True, False]]), 0, 0), Crop(np.array([[False, True]]), 0, 0)
    assert _unpacked(pack_frames([[left, right]], 1, 2), 1, 1, 2).all()


def test_overlap_is_of_pixels_not_of_boxes() -> None:
    """Discs whose boxes share a corner do not overlap; shifted into each other they do."""
    one = Crop(disc(20), 0, 0)
    assert not overlap(one, Crop(disc(20), 0, 20))
    assert not overlap(one, Crop(disc(20), 18, 18))
    assert overlap(one, Crop(disc(20), 10, 10))
    assert overlap(Crop(disc(20), 10, 10), one)
