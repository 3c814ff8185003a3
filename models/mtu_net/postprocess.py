"""From MTU-Net's tiles back to findings in the mammogram.

In: uint8 probabilities (n, 3, 256, 256) and the grid of `preprocess`. Out: calcification clusters
and calcified arteries as regions of the image. What must hold: where the network sees an artery it
reports no microcalcification, which is what the second output is for (Alghamdi 2024: arteries are
the usual false positive of calcification detectors). Only numpy and OpenCV.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import FindingKind, ModelOutput, ModelOutputError, Prepared, Region
from models.mtu_net.preprocess import Grid
from models.mtu_net.spec import CLASSES, SPEC, STRIDE_PX, TILE_PX, WORKING_SPACING_MM
from models.mtu_net.specks import specks

# Where an output marks a pixel. For arteries one half is the natural border of a negative Dice; the
# rim of a faint cluster stays below it, and finding one counts for more than its outline.
MARK_PROBABILITY = {"mc": 0.25, "bac": 0.5}

# Parts closer than this belong to one finding: the distance at which a reader still calls specks
# one cluster, and the usual gap between deposits along one artery.
JOIN_MM = {"mc": 5.0, "bac": 4.0}

# Smaller finds are specks or noise; the smallest cluster that a reader circled covers 8 mm2.
MIN_AREA_MM2 = {"mc": 1.5, "bac": 3.0}

# A find is as sure as its surest part of this size, and a smaller one less sure in proportion: a
# cluster is told from a few bright dots by how much of it there is.
SCORED_AREA_MM2 = 12.0

# Share of a tile that may be of no class at all, background included. Bytes hold no NaN: a network
# that overflows, in half precision say, answers 0 throughout; that is not "nothing found".
MAX_NOTHING = 0.01

# A find with fewer specks than this is less sure in proportion: one alone is no cluster.
GROUP_SPECKS = 4

KINDS = {
    "mc": FindingKind.CALCIFICATION_CLUSTER,
    "bac": FindingKind.ARTERIAL_CALCIFICATION,
}


def postprocess(
    outputs: Mapping[str, NDArray[Any]],
    prepared: Prepared,
    thresholds: Mapping[str, float] = SPEC.thresholds,
    suppress: bool = True,
) -> ModelOutput:
    """Regions whose score reaches its class's threshold, best first. Raises ModelOutputError.

    `suppress` False leaves clusters where an artery is marked: only to measure what that costs.
    """
    grid: Grid = prepared.geometry
    maps = merge(_checked(outputs, len(grid.origins)), grid)
    bac = maps["bac"] >= MARK_PROBABILITY["bac"]
    mc = maps["mc"] >= MARK_PROBABILITY["mc"]
    if suppress:
        mc &= ~(bac & (maps["bac"] >= maps["mc"]))
    dots = specks(prepared.tensors[SPEC.inputs[0].name], grid)
    regions = [
        region
        for name, marked, counted in (("mc", mc, dots), ("bac", bac, None))
        for region in _regions(name, marked, maps[name], grid, counted)
        if region.score >= thresholds[name]
    ]
    return ModelOutput(tuple(sorted(regions, key=lambda region: -region.score)))


def merge(tiles: NDArray[np.uint8], grid: Grid) -> dict[str, NDArray[np.float32]]:
    """Probability maps by class, float32 (rows, columns) of the working grid, in [0, 1].

    Where tiles overlap they are averaged, each weighing less towards its border, where it knows
    less of the surroundings. Where no tile was sent the probability is 0.
    """
    shape = [max(size, TILE_PX) for size in grid.shape]
    total = np.zeros((len(CLASSES) - 1, *shape), np.float32)
    weights = np.zeros(shape, np.float32)
    ramp = _ramp()
    for tile, (row, column) in zip(tiles, grid.origins, strict=True):
        place = np.s_[row : row + TILE_PX, column : column + TILE_PX]
        weights[place] += ramp
        for index in range(len(total)):
            total[index][place] += tile[index] * ramp
    total /= 255.0 * np.maximum(weights, 1e-6)
    rows, columns = grid.shape
    return {name: total[index, :rows, :columns] for index, name in enumerate(CLASSES[:-1])}


def _ramp() -> NDArray[np.float32]:
    """Weight of each pixel of a tile: 1 inside, falling linearly over the overlap to its border."""
    overlap = TILE_PX - STRIDE_PX
    distance = np.minimum(np.arange(TILE_PX), np.arange(TILE_PX)[::-1]) + 1.0
    line = np.minimum(distance / overlap, 1.0).astype(np.float32)
    return np.outer(line, line).astype(np.float32)


def _regions(
    name: str,
    marked: NDArray[np.bool_],
    probability: NDArray[np.float32],
    grid: Grid,
    dots: NDArray[np.bool_] | None,
) -> Iterator[Region]:
    """Findings of one class: parts joined by distance, small ones dropped, clusters filled.

    `dots`: the specks, where a find is less sure the fewer it holds.
    """
    min_area_px = MIN_AREA_MM2[name] / WORKING_SPACING_MM**2
    for top, left, part in _groups(marked, JOIN_MM[name] / WORKING_SPACING_MM):
        place = np.s_[top : top + part.shape[0], left : left + part.shape[1]]
        pixels = marked[place] & part
        if pixels.sum() < min_area_px:
            continue
        score = _score(probability[place][pixels])
        shape = _hull(pixels) if name == "mc" else pixels
        if dots is not None:
            score *= min(1.0, float((dots[place] & shape).sum()) / GROUP_SPECKS)
        region = to_image(shape, (top, left), grid)
        if region is not None:
            mask, offset_px = region
            yield Region(KINDS[name], score, mask, offset_px)


def _score(probability: NDArray[np.float32]) -> float:
    """Mean over the surest SCORED_AREA_MM2; what a smaller find lacks counts as 0."""
    size = round(SCORED_AREA_MM2 / WORKING_SPACING_MM**2)
    surest = np.sort(probability)[-size:]
    return min(float(surest.sum()) / size, 1.0)


def _groups(
    marked: NDArray[np.bool_], join_px: float
) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Top, left and mask of each group of marked pixels that lie within `join_px` of each other."""
    radius = max(1, round(join_px / 2))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    joined = cv2.dilate(marked.astype(np.uint8), disc)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(joined)
    for label in range(1, count):
        left, top, width, height = (int(value) for value in boxes[label][:4])
        yield top, left, labels[top : top + height, left : left + width] == label


def _hull(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The convex hull of the True pixels: a cluster is reported as an area, not as specks."""
    points = cv2.findNonZero(pixels.astype(np.uint8))
    filled = np.zeros(pixels.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(points), (1,))
    return filled > 0


def to_image(
    mask: NDArray[np.bool_], origin: tuple[int, int], grid: Grid
) -> tuple[NDArray[np.bool_], tuple[int, int]] | None:
    """Crop and offset in image px of a mask at `origin` of the working grid, None if it vanishes.

    Each image pixel of the breast's box takes the grid pixel under its centre.
    """
    rows = _under(grid.box.height, grid.shape[0]) - origin[0]
    columns = _under(grid.box.width, grid.shape[1]) - origin[1]
    top, rows = _within(rows, mask.any(axis=1))
    left, columns = _within(columns, mask.any(axis=0))
    if not rows.size or not columns.size:
        return None
    return mask[np.ix_(rows, columns)], (grid.box.top + top, grid.box.left + left)


def _within(
    indices: NDArray[np.int64], occupied: NDArray[np.bool_]
) -> tuple[int, NDArray[np.int64]]:
    """First position of, and the run of, `indices` that spans the occupied entries."""
    hits = np.flatnonzero(
        [0 <= index < len(occupied) and bool(occupied[index]) for index in indices]
    )
    if not hits.size:
        return 0, indices[:0]
    return int(hits[0]), indices[hits[0] : hits[-1] + 1]


def _under(image_px: int, grid_px: int) -> NDArray[np.int64]:
    """For each image pixel of an axis, the grid pixel that its centre falls into."""
    return ((np.arange(image_px) + 0.5) * grid_px / image_px).astype(np.int64)


def _checked(outputs: Mapping[str, NDArray[Any]], tiles: int) -> NDArray[np.uint8]:
    expected = SPEC.outputs[0]
    array = outputs.get(expected.name)
    if array is None or array.dtype != np.uint8 or array.shape != (tiles, *expected.shape):
        found = "nothing" if array is None else f"{array.dtype} {array.shape}"
        raise ModelOutputError(f"{expected.name} is {found}, expected uint8 of {tiles} tiles")
    if (~array.any(axis=1)).mean(axis=(1, 2)).max(initial=0.0) > MAX_NOTHING:
        raise ModelOutputError(
            f"{expected.name} hold neither calcium nor background: the network overflowed; "
            "serve it in FP32"
        )
    return array
