from __future__ import annotations

import numpy as np

from models.foreground import Box
from models.mtu_net.preprocess import Grid, tile_origins
from models.mtu_net.spec import TILE_PX
from models.mtu_net.specks import specks

SHAPE = (300, 400)


def found(picture: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    origins = tile_origins(np.ones(SHAPE, np.bool_))
    grid = Grid(Box(0, 0, *SHAPE), SHAPE, origins)
    tiles = [picture[r : r + TILE_PX, c : c + TILE_PX] for r, c in origins]
    return specks(np.stack(tiles)[:, np.newaxis], grid)


def grain() -> np.ndarray:  # type: ignore[type-arg]
    rng = np.random.default_rng(0)
    return np.clip(rng.normal(100.0, 2.0, SHAPE), 0, 255).astype(np.uint8)


def test_each_bright_dot_is_counted_once() -> None:
    """Dots of two pixels on grain: one True pixel each, and next to nothing elsewhere."""
    picture = grain()
    places = [(50, 60), (50, 80), (150, 300), (250, 200)]
    for row, column in places:
        picture[row : row + 2, column : column + 2] = 160
    marks = found(picture)
    for row, column in places:
        assert marks[row - 2 : row + 4, column - 2 : column + 4].sum() == 1
    assert marks.mean() < 0.002  # three standard deviations, of normal grain


def test_a_soft_shadow_is_no_speck() -> None:
    """A bright area a centimetre wide answers nowhere inside."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    soft = 100 + 80 * np.exp(-((y - 150) ** 2 + (x - 200) ** 2) / (2 * 30.0**2))
    assert not found(soft.astype(np.uint8))[120:180, 170:230].any()
