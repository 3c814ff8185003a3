"""Boxes, anchors, suppression and RoIAlign against their definitions, one box at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch

from models.mask_rcnn.anchors import anchors
from models.mask_rcnn.backbone import Backbone
from models.mask_rcnn.boxes import DETECTION_WEIGHTS, clip, decode, encode, overlap
from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.nms import suppress
from models.mask_rcnn.roi import GRID, sample
from models.mask_rcnn.rpn import RegionProposals


def _boxes(count: int, seed: int, size: float = 200.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * size
    side = torch.rand(count, 2, generator=generator) * size / 3 + 4
    return torch.cat([corner, corner + side], dim=1)


def test_decoding_undoes_encoding() -> None:
    """The offsets from a reference to a box lead back to the box."""
    reference, boxes = _boxes(50, 1), _boxes(50, 2)
    offsets = encode(reference, boxes, DETECTION_WEIGHTS)
    found = decode(reference, offsets, DETECTION_WEIGHTS)
    assert torch.allclose(found, boxes, atol=1e-3)


def test_overlap_of_known_boxes() -> None:
    """Half-covered squares overlap by a third; apart they overlap by nothing."""
    first = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    second = torch.tensor([[5.0, 0.0, 15.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    assert overlap(first, second)[0].tolist() == pytest.approx([1 / 3, 0.0])


def test_anchors_lie_on_cell_centres_with_the_planned_areas() -> None:
    """Each level has rows x columns x 6 anchors, of its two sizes, around the cells' centres."""
    config = NetworkConfig((128, 192))
    plan = config.anchors
    for boxes, stride, sizes in zip(
        anchors(config), config.strides_px[1:], plan.sizes_px, strict=True
    ):
        assert boxes.shape == (128 // stride * (192 // stride) * plan.per_cell, 4)
        centre = (boxes[0, :2] + boxes[0, 2:]) / 2
        assert centre.tolist() == pytest.approx([stride / 2, stride / 2])
        side = (boxes[: plan.per_cell, 2:] - boxes[: plan.per_cell, :2]).prod(dim=1).sqrt()
        assert sorted(set(side.round().tolist())) == sorted(float(size) for size in sizes)


@pytest.mark.parametrize("limit", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_suppression_is_greedy(limit: float, seed: int) -> None:
    """The matrix form keeps exactly the boxes that the loop over boxes keeps."""
    boxes = _boxes(200, seed, size=120.0)
    valid = torch.ones(200)
    valid[::17] = 0
    kept: list[int] = []
    conflict = overlap(boxes, boxes) > limit
    for row in range(200):
        if valid[row] and not any(conflict[row, other] for other in kept):
            kept.append(row)
    found = suppress(boxes.unsqueeze(0), valid.unsqueeze(0), limit)[0]
    assert torch.nonzero(found).flatten().tolist() == kept


@pytest.mark.parametrize("levels", ["assigned", "all"])
def test_roi_sampling_reads_a_linear_map_exactly(levels: Literal["assigned", "all"]) -> None:
    """On maps that hold their own coordinates, samples are the coordinates of the points."""
    maps = []
    for stride in (4, 8, 16, 32):
        centres = (torch.arange(1024 // stride) + 0.5) * stride
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        maps.append(torch.stack([x, y]).unsqueeze(0).repeat(2, 1, 1, 1))
    boxes = torch.tensor(
        [
            [[100.0, 200.0, 150.0, 260.0], [300.0, 300.0, 500.0, 450.0]],
            [[100.0, 100.0, 500.0, 600.0], [64.0, 64.0, 900.0, 950.0]],
        ]
    )
    found = sample(maps, boxes, replace(NetworkConfig((1024, 1024)), roi_levels=levels))
    assert found.shape == (2, 2, GRID, GRID, 2)
    step = (torch.arange(GRID) + 0.5) / GRID
    for image in range(2):
        for row in range(2):
            x0, y0, x1, y1 = boxes[image, row]
            assert torch.allclose(found[image, row, 0, :, 0], x0 + (x1 - x0) * step, atol=1e-2)
            assert torch.allclose(found[image, row, :, 0, 1], y0 + (y1 - y0) * step, atol=1e-2)


def test_configuration_refuses_sizes_the_pyramid_cannot_halve() -> None:
    """An input side that is no multiple of 64 is refused."""
    with pytest.raises(ValueError, match="no multiples of 64"):
        NetworkConfig((1000, 1024))


def test_roi_sampling_matches_bilinear_interpolation_by_hand() -> None:
    """A point between four cells is their weighted mean."""
    rng = np.random.default_rng(0)
    level = torch.from_numpy(rng.random((1, 1, 16, 16), np.float32))
    maps = [level, *(torch.zeros(1, 1, 16 >> k, 16 >> k) for k in (1, 2, 3))]
    found = sample(maps, torch.tensor([[[0.0, 0.0, 56.0, 56.0]]]), NetworkConfig((64, 64)))[
        0, 0, ..., 0
    ]
    y = x = 2 * 56 / 14 + 2.0
    cell = x / 4 - 0.5
    low, share = int(cell), cell - int(cell)
    square = level[0, 0, low : low + 2, low : low + 2]
    expected = (
        square[0, 0] * (1 - share) ** 2
        + (square[0, 1] + square[1, 0]) * share * (1 - share)
        + square[1, 1] * share**2
    )
    assert y == x
    assert found[2, 2] == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("depth", [18, 50, 101])
@pytest.mark.parametrize("finest_px", [2, 4])
def test_backbone_halves_from_its_finest_stride(
    depth: Literal[18, 50, 101], finest_px: Literal[2, 4]
) -> None:
    """Every depth of the papers, thinned, gives five maps at the strides of the configuration."""
    config = NetworkConfig(
        (128, 128), depth=depth, width=0.0625, channels=8, finest_stride_px=finest_px
    )
    with torch.inference_mode():
        maps = Backbone(config).eval()(torch.zeros(1, 3, 128, 128))
    assert [tuple(level.shape) for level in maps] == [
        (1, 8, 128 // stride, 128 // stride) for stride in config.strides_px
    ]


def test_proposals_whose_sigmoids_are_all_one_come_best_first() -> None:
    """Their logits decide, not the order in which a runtime puts equal numbers."""
    config = NetworkConfig((256, 256), proposals=3, before_nms=8)
    proposals = RegionProposals(config)
    levels = [len(level) for level in proposals.level_anchors()]
    logits = [torch.full((1, count), -30.0) for count in levels]
    offsets = [torch.zeros(1, count, 4) for count in levels]
    apart = (0, levels[0] // 2, levels[0] - 2)
    for place, logit in zip(apart, (40.0, 20.0, 30.0), strict=True):
        logits[0][0, place] = logit
    assert (torch.sigmoid(torch.tensor([20.0, 30.0, 40.0])) == 1.0).all()
    boxes, valid = proposals.propose(logits, offsets)
    assert valid.tolist() == [[1.0, 1.0, 1.0]]
    expected = [
        clip(proposals.level_anchors()[0][[place]], (256, 256)) for place in (0, apart[2], apart[1])
    ]
    assert torch.allclose(boxes[0], torch.cat(expected), atol=1e-4)
