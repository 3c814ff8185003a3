from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.contract import FindingKind, ModelOutputError, Prepared
from models.foreground import Box
from models.mtu_net.network import MTUNet, ServedMTUNet
from models.mtu_net.postprocess import merge, postprocess
from models.mtu_net.preprocess import Grid, tile_origins
from models.mtu_net.spec import CLASSES, TILE_PX

BOX = Box(top=100, left=40, height=1200, width=800)
SHAPE = (600, 400)  # of the working grid: two image px per grid px


def grid() -> Grid:
    return Grid(BOX, SHAPE, tile_origins(np.ones(SHAPE, bool)))


def prepared(dotted: bool = True) -> Prepared:
    """Tiles of an even breast, with a speck every millimetre or with none."""
    picture = np.full(SHAPE, 100, np.uint8)
    if dotted:
        picture[::6, ::6] = 220
    tiles = [picture[r : r + TILE_PX, c : c + TILE_PX] for r, c in grid().origins]
    return Prepared({"tiles": np.stack(tiles)[:, np.newaxis]}, grid())


def tiles_of(maps: dict[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
    """Cut full maps (600, 400) of some classes into the tensor that the network would give."""
    maps = {"background": np.full(SHAPE, 255, np.uint8), **maps}
    stack = np.stack([maps.get(name, np.zeros(SHAPE, np.uint8)) for name in CLASSES])
    return {
        "probabilities": np.stack(
            [stack[:, r : r + TILE_PX, c : c + TILE_PX] for r, c in grid().origins]
        )
    }


def blob(row: int, column: int, radius: int, level: int = 240) -> NDArray[np.uint8]:
    canvas = np.zeros(SHAPE, np.uint8)
    cv2.circle(canvas, (column, row), radius, (level,), cv2.FILLED)
    return canvas


def test_merging_returns_what_was_cut() -> None:
    """Cutting a map into overlapping tiles and merging them changes nothing."""
    noise = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    merged = merge(tiles_of({"mc": noise})["probabilities"], grid())
    np.testing.assert_allclose(merged["mc"], noise / 255.0, atol=1e-5)


def test_a_cluster_is_found_where_it_is() -> None:
    """The region's centre in the image is the blob's, and its kind a cluster."""
    output = postprocess(tiles_of({"mc": blob(300, 210, 20)}), prepared())
    (region,) = output.regions
    assert region.kind is FindingKind.CALCIFICATION_CLUSTER
    rows, columns = np.nonzero(region.mask)
    centre = rows.mean() + region.offset_px[0], columns.mean() + region.offset_px[1]
    assert centre == pytest.approx((100 + 2 * 300.5, 40 + 2 * 210.5), abs=1.0)
    assert region.mask.sum() == pytest.approx(np.pi * 40**2, rel=0.06)
    assert region.score == pytest.approx(240 / 255, abs=0.01)


def test_near_parts_make_one_cluster_and_far_ones_two() -> None:
    """Parts 3 mm apart are one finding with one hull, parts 15 mm apart are two."""
    near = blob(300, 180, 12) | blob(300, 224, 12)
    assert len(postprocess(tiles_of({"mc": near}), prepared()).regions) == 1
    far = blob(300, 100, 12) | blob(300, 224, 12)
    assert len(postprocess(tiles_of({"mc": far}), prepared()).regions) == 2


def test_an_artery_is_no_cluster() -> None:
    """Where both outputs are sure, the artery wins: the false positive is removed."""
    line = np.zeros(SHAPE, np.uint8)
    cv2.line(line, (50, 300), (350, 320), (250,), 7)
    output = postprocess(tiles_of({"mc": line // 2 + 60, "bac": line}), prepared())
    assert [region.kind for region in output.regions] == [FindingKind.ARTERIAL_CALCIFICATION]


def test_specks_below_the_smallest_area_are_noise() -> None:
    """A marked area under 1.5 square millimetres is not reported."""
    assert postprocess(tiles_of({"mc": blob(300, 200, 4)}), prepared()).regions == ()


def test_the_operating_point_decides() -> None:
    """A region below its class's threshold is not reported."""
    tensors = tiles_of({"mc": blob(300, 210, 20, level=160)})
    assert postprocess(tensors, prepared(), {"mc": 0.7, "bac": 0.5}).regions == ()
    assert len(postprocess(tensors, prepared(), {"mc": 0.6, "bac": 0.5}).regions) == 1


def test_a_smaller_find_is_less_sure() -> None:
    """Of 12 square millimetres half are marked at 0.8: the score is 0.4."""
    radius = round((6.0 / np.pi) ** 0.5 / 0.15)
    (region,) = postprocess(
        tiles_of({"mc": blob(300, 210, radius, level=204)}),
        prepared(),
        {"mc": 0.1, "bac": 0.5},
    ).regions
    assert region.score == pytest.approx(0.4, abs=0.04)


def test_a_cluster_holds_several_specks() -> None:
    """The same mark on a breast without a speck is reported at no operating point above 0."""
    tensors = tiles_of({"mc": blob(300, 210, 20)})
    assert postprocess(tensors, prepared(dotted=False), {"mc": 0.01, "bac": 0.5}).regions == ()


def test_regions_lie_inside_the_image_best_first() -> None:
    """Regions at the edge of the breast's box stay in it, and scores fall."""
    marks = blob(0, 0, 25) | blob(599, 399, 25, level=200)
    output = postprocess(tiles_of({"mc": marks}), prepared())
    assert [region.score for region in output.regions] == sorted(
        (region.score for region in output.regions), reverse=True
    )
    for region in output.regions:
        (top, left), (height, width) = region.offset_px, region.mask.shape
        assert top >= BOX.top
        assert left >= BOX.left
        assert top + height <= BOX.top + BOX.height
        assert left + width <= BOX.left + BOX.width
        assert region.mask.any(axis=1)[[0, -1]].all()


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"probabilities": np.zeros((1, 3, TILE_PX, TILE_PX), np.uint8)},
        {"probabilities": np.zeros((6, 3, TILE_PX, TILE_PX), np.float32)},
    ],
)
def test_tensors_of_another_model_are_refused(outputs: dict[str, NDArray[np.uint8]]) -> None:
    """A missing tensor, a wrong number of tiles or a wrong type raises ModelOutputError."""
    with pytest.raises(ModelOutputError):
        postprocess(outputs, prepared())


def test_a_network_that_overflows_does_not_find_nothing() -> None:
    """NaN inside is 0 in every class as bytes, and an error instead of an empty answer."""
    network = MTUNet()
    with torch.no_grad():
        for head in network.heads.values():
            head.bias.fill_(torch.nan)
        answer = ServedMTUNet(network.eval())(torch.from_numpy(prepared().tensors["tiles"]))
    with pytest.raises(ModelOutputError, match="overflowed"):
        postprocess({"probabilities": answer.numpy()}, prepared())
