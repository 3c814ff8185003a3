"""Overlapping tiles cover the image, and what two of them see is one finding."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from models.contract import FindingKind, Region
from models.imaging.tiles import merged, origins, over_tiles, quarters


@pytest.mark.parametrize("size", [(100, 80), (256, 256), (1000, 700), (513, 257)])
def test_tiles_cover_the_image_and_overlap(size: tuple[int, int]) -> None:
    """Every pixel is in a tile, tiles stay inside, neighbours share what was asked."""
    seen = np.zeros(size, int)
    rows = set()
    for top, left in origins(size, 256, 64):
        assert top + 256 <= max(size[0], 256)
        assert left + 256 <= max(size[1], 256)
        seen[top : top + 256, left : left + 256] += 1
        rows.add(top)
    assert seen.min() >= 1
    starts = sorted(rows)
    assert all(b - a <= 192 for a, b in pairwise(starts))


def test_quarters_are_four() -> None:
    """Two tiles along each side, with the overlap asked for, as the paper splits its images."""
    side, overlap = quarters((1000, 900))
    assert len(origins((1000, 900), side, overlap)) == 4


def test_overlap_as_large_as_a_tile_is_refused() -> None:
    """Such tiles would never get anywhere."""
    with pytest.raises(ValueError, match="overlap"):
        origins((100, 100), 64, 64)


def _bright(pixels: np.ndarray) -> list[Region]:
    """A detector that finds the one bright area of a tile and trusts larger ones more."""
    rows, columns = np.nonzero(pixels > 0.5)
    if not len(rows):
        return []
    top, left = int(rows.min()), int(columns.min())
    mask = pixels[top : int(rows.max()) + 1, left : int(columns.max()) + 1] > 0.5
    return [Region(FindingKind.MASS, min(1.0, mask.sum() / 2000), mask, (top, left))]


def test_lesion_on_a_border_is_one_finding_with_its_whole_mask() -> None:
    """Four tiles see parts of it; the image has it once, complete, with the best score."""
    pixels = np.zeros((400, 400), np.float32)
    pixels[185:215, 180:220] = 1.0
    (found,) = over_tiles(pixels, 224, 48, _bright)
    assert found.offset_px == (185, 180)
    assert found.mask.shape == (30, 40)
    assert found.mask.all()


def _square(top: int, left: int, side: int, score: float, kind: FindingKind) -> Region:
    return Region(kind, score, np.ones((side, side), bool), (top, left))


def test_merging_joins_the_same_place_and_kind_only() -> None:
    """Neighbours and other kinds stay apart; the better score leads."""
    mass, cluster = FindingKind.MASS, FindingKind.CALCIFICATION_CLUSTER
    joined = merged(
        [
            _square(0, 0, 10, 0.4, mass),
            _square(2, 2, 10, 0.9, mass),
            _square(0, 0, 10, 0.5, cluster),
            _square(0, 30, 10, 0.3, mass),
        ]
    )
    assert [(region.kind, region.score) for region in joined] == [
        (mass, 0.9),
        (cluster, 0.5),
        (mass, 0.3),
    ]
    assert joined[0].mask.sum() == 100 + 100 - 64
    assert joined[0].offset_px == (0, 0)
