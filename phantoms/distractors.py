"""What may be mistaken for a lesion: lymph nodes, dense islands, lone calcifications."""

from __future__ import annotations

import numpy as np

from phantoms.breast import Breast
from phantoms.calcifications import Speck, single_speck
from phantoms.texture import Map, power_law, sample, smoothstep


def add_soft_distractors(rng: np.random.Generator, breast: Breast, path: Map) -> None:
    """Add nodes and dense islands to `path` (glandular-equivalent mm), in place."""
    if breast.muscle[:, 0].max() > 0.5 and rng.random() < 0.7:
        for _ in range(int(rng.integers(1, 4))):
            y, x = rng.uniform(8.0, 70.0), rng.uniform(8.0, 45.0)
            _add_node(rng, breast, path, (y, x), rng.uniform(3.0, 7.0))
    if rng.random() < 0.15:
        y, x = _inside(rng, breast, 12.0)
        _add_node(rng, breast, path, (y, x), rng.uniform(2.2, 3.5))
    for _ in range(int(rng.integers(0, 4))):
        _add_island(rng, breast, path)


def lone_specks(rng: np.random.Generator, breast: Breast) -> list[Speck]:
    """None to five single calcifications anywhere in the breast."""
    return [single_speck(rng, *_inside(rng, breast, 3.0)) for _ in range(int(rng.poisson(1.2)))]


def _inside(rng: np.random.Generator, breast: Breast, margin_mm: float) -> tuple[float, float]:
    """A random place (y, x) in mm at least `margin_mm` under the skin."""
    rows, columns = np.nonzero(breast.edge_mm[::16, ::16] > margin_mm)
    i = int(rng.integers(rows.size))
    pick = (int(rows[i]) * 16, int(columns[i]) * 16)
    return float(breast.y_mm[pick]), float(breast.x_mm[pick])


def _add_node(
    rng: np.random.Generator,
    breast: Breast,
    path: Map,
    centre_mm: tuple[float, float],
    radius_mm: float,
) -> None:
    """A lymph node: a sharp oval with a fatty hilum notched into one side."""
    y, x = breast.y_mm - centre_mm[0], breast.x_mm - centre_mm[1]
    turn = rng.uniform(0.0, np.pi)
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    reach = np.square(u / radius_mm) + np.square(v / (0.62 * radius_mm))
    oval = np.sqrt(np.clip(1.0 - reach, 0.0, 1.0))
    side = 0.35 * radius_mm
    hilum = np.exp(-np.square(u / (0.5 * radius_mm)) - np.square((v - side) / (0.33 * radius_mm)))
    path += (1.1 * radius_mm * oval * (1.0 - 0.9 * hilum)).astype(np.float32)


def _add_island(rng: np.random.Generator, breast: Breast, path: Map) -> None:
    """A cloud of normal tissue apart from the rest: no edge, no centre."""
    y0, x0 = _inside(rng, breast, 15.0)
    width, height = rng.uniform(4.0, 12.0, 2)
    y, x = breast.y_mm - y0, breast.x_mm - x0
    bump = np.exp(-np.square(x / width) - np.square(y / height))
    cloud = sample(power_law(rng, 3.0, 20.0, 1.0), breast.x_mm, breast.y_mm)
    path += rng.uniform(3.0, 8.0) * bump * smoothstep(cloud, -0.6, 1.4)
