"""Fibroglandular tissue, Cooper's ligaments and vessels of one breast.

In: a `Breast`. Out: path length in mm of glandular-equivalent tissue above each pixel of the
anatomy grid, float32. The density class sets how much of the breast the tissue covers.
"""

from __future__ import annotations

import cv2
import numpy as np

from phantoms.breast import ANATOMY_PITCH_MM, Breast
from phantoms.streams import stream
from phantoms.texture import Map, as_map, blur, power_law, ridges, sample, smoothstep
from phantoms.truth import Laterality, View


def glandular_path(seed: int, laterality: Laterality, view: View, breast: Breast) -> Map:
    """Path in mm through glandular-equivalent tissue: parenchyma, ligaments, nipple and muscle."""
    rng = stream(seed, laterality, view, "parenchyma")
    room = np.clip(breast.thickness_mm - breast.skin_path_mm, 0.0, None)
    warp_x, warp_y = _warp(rng, breast)
    angle, radius = _polar(breast, warp_x, warp_y)
    gland = _gland_fraction(rng, breast, warp_x, warp_y, angle, radius)
    lines = _ligaments(rng, breast, warp_x, warp_y, angle, radius)
    near_gland = 0.4 + 0.6 * smoothstep(blur(gland, 4.0 / ANATOMY_PITCH_MM), 0.0, 0.25)
    path = room * gland + lines * near_gland * np.clip(room / 12.0, 0.0, 1.0)
    path += _subareolar(breast) * 5.0 + 0.8 * breast.skin_path_mm
    fibre = power_law(rng, 2.0, 12.0, 0.8)
    striped = sample(fibre, breast.x_mm + 0.35 * breast.y_mm, 0.12 * breast.y_mm)
    muscle = breast.muscle * (1.0 + 0.03 * striped)
    return np.where(muscle > 0, np.maximum(path * (1 - muscle), 0) + muscle * room, path)


def _warp(rng: np.random.Generator, breast: Breast) -> tuple[Map, Map]:
    """Coordinates bent by a few millimetres, so that no structure runs straight."""
    bend = power_law(rng, 3.0, 80.0, 25.0)
    x, y = breast.x_mm, breast.y_mm
    return (
        x + 2.0 * sample(bend, x, y),
        y + 2.0 * sample(bend, x + 111.0, y + 57.0),
    )


def _polar(breast: Breast, x_mm: Map, y_mm: Map) -> tuple[Map, Map]:
    """Angle (radians, 0 towards the chest wall) and distance (mm) seen from before the nipple."""
    nipple_y, nipple_x = breast.nipple_mm
    away = nipple_x + 22.0 - x_mm
    down = y_mm - nipple_y
    return as_map(np.arctan2(down, np.maximum(away, 1.0))), as_map(np.hypot(away, down))


def _gland_fraction(
    rng: np.random.Generator, breast: Breast, x_mm: Map, y_mm: Map, angle: Map, radius: Map
) -> Map:
    """Part of the path that is glandular, in [0, 1]; its area is the patient's coverage.

    Two layers are projected on each other, as front and back of a real breast are.
    """
    cone = _cone(rng, breast)
    cloud = power_law(rng, 3.1, 45.0, 0.6)
    strands = power_law(rng, 3.0, 30.0, 1.2)
    deep = breast.edge_mm > 4.0
    total = np.zeros_like(x_mm)
    for layer in range(2):
        streaks = sample(strands, angle * 75.0, radius * 0.5 + 83.0 * layer)
        clouds = sample(cloud, x_mm + 97.0 * layer, y_mm)
        field = 3.2 * cone + 0.80 * clouds + 0.22 * streaks
        threshold = float(np.quantile(field[deep][::7], 1.0 - breast.patient.coverage))
        body = 1.0 / (1.0 + np.exp(-1.6 * (field - threshold)))
        total += 0.5 * body * np.clip(0.31 + 0.05 * clouds + 0.035 * streaks, 0.05, 0.95)
    return as_map(total * smoothstep(breast.edge_mm, 3.0, 14.0))


def _cone(rng: np.random.Generator, breast: Breast) -> Map:
    """Where glandular tissue is likely: a cone behind the nipple, clear of the muscle."""
    nipple_y, nipple_x = breast.nipple_mm
    back = (nipple_x - breast.x_mm) / nipple_x
    spread = 0.20 + 0.55 * np.clip(back, 0.0, 1.0)
    across = breast.y_mm - nipple_y + rng.uniform(-8.0, 12.0) * back
    across /= breast.patient.half_height_mm * spread
    depth = (back - rng.uniform(0.36, 0.5)) / 0.36
    return as_map(np.exp(-np.square(depth) - np.square(across)) - breast.muscle)


def _ligaments(
    rng: np.random.Generator, breast: Breast, x_mm: Map, y_mm: Map, angle: Map, radius: Map
) -> Map:
    """Glandular-equivalent path in mm of Cooper's ligaments and trabeculae."""
    web = power_law(rng, 2.8, 24.0, 4.0)
    radial = power_law(rng, 2.8, 20.0, 4.0)
    strength = 0.5 + 0.5 * smoothstep(sample(web, y_mm, x_mm), -1.0, 1.0)
    long_lines = ridges(sample(radial, angle * 60.0, radius * 0.28), 0.11)
    long_lines += 0.7 * ridges(sample(radial, angle * 95.0 + 90.0, radius * 0.4 + 40.0), 0.10)
    net = ridges(sample(web, x_mm, y_mm), 0.09)
    return as_map(strength * (2.4 * long_lines + 1.6 * net))


def _subareolar(breast: Breast) -> Map:
    """Denser tissue under the nipple, in [0, 1]."""
    nipple_y, nipple_x = breast.nipple_mm
    distance = np.hypot((breast.x_mm - nipple_x + 5.0) / 9.0, (breast.y_mm - nipple_y) / 5.5)
    return as_map(np.exp(-np.square(distance)))


def vessel_course(rng: np.random.Generator, breast: Breast, length_mm: float | None = None) -> Map:
    """Centre line of a vessel from the chest side towards the nipple.

    Returns float32 (points, 2) as (x, y) in mm, points 0.5 mm apart.
    """
    nipple_y, nipple_x = breast.nipple_mm
    length = rng.uniform(40.0, 100.0) if length_mm is None else length_mm
    start_x = rng.uniform(0.05, 0.35) * nipple_x
    side = 1.0 if rng.random() < 0.5 else -1.0
    start_y = nipple_y + side * rng.uniform(0.15, 0.62) * breast.patient.half_height_mm
    aim = np.arctan2(nipple_y - start_y, 1.3 * nipple_x - start_x)
    steps = int(length / 0.5)
    bend = np.cumsum(rng.normal(0.0, 0.035, steps))
    kernel = np.hanning(25) / np.hanning(25).sum()
    bend = np.convolve(bend - np.linspace(0.0, bend[-1], steps), kernel, mode="same")
    swing = 0.35 * np.sin(np.linspace(0.0, length / rng.uniform(5.0, 9.0), steps))
    heading = aim + 1.6 * bend + swing
    course = np.stack(
        [start_x + 0.5 * np.cumsum(np.cos(heading)), start_y + 0.5 * np.cumsum(np.sin(heading))],
        axis=1,
    )
    return as_map(course)


def vessels(seed: int, laterality: Laterality, view: View, breast: Breast) -> Map:
    """Glandular-equivalent path in mm of the ordinary vessels, two to six of them."""
    rng = stream(seed, laterality, view, "vessels")
    path = np.zeros_like(breast.x_mm)
    for _ in range(int(rng.integers(2, 7))):
        add_vessel(path, vessel_course(rng, breast), rng.uniform(1.0, 2.6))
    return path * (breast.edge_mm > 1.0)


def add_vessel(path: Map, course: Map, diameter_mm: float) -> None:
    """Add the chord of a tube along `course` to `path`, in place."""
    tube = np.zeros(path.shape, np.uint8)
    points = np.round(course / ANATOMY_PITCH_MM * 16.0).astype(np.int32)
    thickness = max(1, round(diameter_mm / ANATOMY_PITCH_MM))
    cv2.polylines(tube, [points], False, (1,), thickness, cv2.LINE_8, shift=4)
    depth = cv2.distanceTransform(tube, cv2.DIST_L2, cv2.DIST_MASK_3) * ANATOMY_PITCH_MM
    radius = diameter_mm / 2.0
    inward = np.clip(depth / radius, 0.0, 1.0)
    chord = diameter_mm * np.sqrt(inward * (2.0 - inward))
    path += blur(as_map(chord), 0.8)


def inside_breast(course: Map, breast: Breast, margin_mm: float = 4.0) -> Map:
    """The points of a course that lie at least `margin_mm` under the skin and in the image."""
    row, column = np.floor(course[:, ::-1] / ANATOMY_PITCH_MM).astype(int).T
    rows, columns = breast.edge_mm.shape
    seen = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    edge = breast.edge_mm[row.clip(0, rows - 1), column.clip(0, columns - 1)]
    return as_map(course[seen & (edge > margin_mm)])
