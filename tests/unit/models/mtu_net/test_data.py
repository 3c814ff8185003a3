from __future__ import annotations

import numpy as np

from models.mtu_net.data import BITS, TILES, make_sample
from models.mtu_net.spec import TILE_PX


def test_a_sample_repeats_and_shows_its_lesions() -> None:
    """The same seed gives the same tiles, and bright calcium lies under the truth."""
    tiles, truth = make_sample(1)
    again, _ = make_sample(1)
    np.testing.assert_array_equal(tiles, again)
    assert tiles.shape == truth.shape == (TILES, TILE_PX, TILE_PX)
    assert truth.max() <= sum(BITS.values())
    if truth.any():
        assert tiles[truth > 0].max() > np.percentile(tiles[truth == 0], 90)
