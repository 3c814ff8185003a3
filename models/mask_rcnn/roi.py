"""RoIAlign (He et al., section 3) over all pyramid levels with one Gather.

In: maps P2 to P5, whose strides double, and boxes. Out: features at a grid of 14 x 14 points per
box, one bilinear sample at the centre of each cell. The box head averages 2 x 2 of them (that is
RoIAlign 7 x 7 with a sampling ratio of 2), the mask head takes them as they are (14 x 14, ratio 1):
one sampling serves both. TensorRT 8.2 lacks the ONNX operator RoiAlign, which also needs a graph
per level.
Index arithmetic is integer, coordinates are float32: float16 is wrong above pixel 2048.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.mask_rcnn.configuration import NetworkConfig

GRID = 14
_LEVELS = 4
_LIMIT_CELLS = 28.0
"""A box this wide on P2 leaves it: 112 px at stride 4 (Lin et al., equation 1, k0 = 4)."""


def sample(maps: list[Tensor], boxes: Tensor, config: NetworkConfig) -> Tensor:
    """Features (n, r, GRID, GRID, channels) of boxes (n, r, 4) in input pixels.

    `maps`: P2 to P5, each (n, channels, height, width). With `roi_levels` "assigned" a box reads
    from the level whose stride makes it about 14 to 28 cells wide, with "all" from every level, and
    the mean is taken.
    """
    if config.roi_levels == "assigned":
        return _sample(maps, boxes, _assigned(boxes, config), config)
    parts = [
        _sample(maps, boxes, torch.full_like(boxes[..., 0], level, dtype=torch.int64), config)
        for level in range(_LEVELS)
    ]
    return torch.stack(parts).mean(dim=0)


def _sample(maps: list[Tensor], boxes: Tensor, level: Tensor, config: NetworkConfig) -> Tensor:
    """As `sample`, from level number `level` int64 (n, r); 0 is P2."""
    with torch.autocast(boxes.device.type, enabled=False):
        flat = torch.cat(
            [level.permute(0, 2, 3, 1).flatten(1, 2).float() for level in maps[:_LEVELS]], dim=1
        )
        rows, channels = int(flat.shape[1]), int(flat.shape[2])
        corners, weights = _corners(_facts(maps, level, config), boxes.float(), rows)
        flat = flat.reshape(-1, channels)
        picked = [
            flat.index_select(0, corner.reshape(-1)) * weight.reshape(-1, 1)
            for corner, weight in zip(corners, weights, strict=True)
        ]
        total = picked[0] + picked[1] + picked[2] + picked[3]
    return total.reshape(-1, int(boxes.shape[1]), GRID, GRID, channels)


def _corners(
    facts: tuple[Tensor, ...], boxes: Tensor, rows: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Row numbers and bilinear weights, four each of shape (n, r, GRID, GRID)."""
    inverse_stride, height, width, offset = facts
    y, x = _points(boxes, inverse_stride)
    y0, y1, fy = _neighbours(y, height.unsqueeze(-1))
    x0, x1, fx = _neighbours(x, width.unsqueeze(-1))
    image = torch.arange(boxes.shape[0], device=boxes.device).reshape(-1, 1, 1, 1) * rows
    start = image + offset.long().unsqueeze(-1).unsqueeze(-1)
    stride = width.long().unsqueeze(-1).unsqueeze(-1)
    above = start + y0.unsqueeze(-1) * stride
    below = start + y1.unsqueeze(-1) * stride
    left, right = x0.unsqueeze(-2), x1.unsqueeze(-2)
    fy, fx = fy.unsqueeze(-1), fx.unsqueeze(-2)
    index = [above + left, above + right, below + left, below + right]
    weight = [(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx]
    return index, weight


def _assigned(boxes: Tensor, config: NetworkConfig) -> Tensor:
    """The level of each box, int64 (n, r)."""
    side2 = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    limit = _LIMIT_CELLS * config.finest_stride_px
    number = torch.zeros_like(side2, dtype=torch.int64)
    for step in range(_LEVELS - 1):
        number = number + (side2 >= (limit * 2**step) ** 2).to(torch.int64)
    return number


def _facts(maps: list[Tensor], level: Tensor, config: NetworkConfig) -> tuple[Tensor, ...]:
    """Per box, each float (n, r): 1 / stride, height, width and first row of its level."""
    rows, first = [], 0
    for stride, features in zip(config.strides_px, maps[:_LEVELS], strict=False):
        height, width = int(features.shape[2]), int(features.shape[3])
        rows.append([1.0 / stride, float(height), float(width), float(first)])
        first += height * width
    table = torch.tensor(rows, device=level.device)
    chosen = table.index_select(0, level.reshape(-1)).reshape(-1, int(level.shape[1]), 4)
    return chosen[..., 0], chosen[..., 1], chosen[..., 2], chosen[..., 3]


def _points(boxes: Tensor, inverse_stride: Tensor) -> tuple[Tensor, Tensor]:
    """Sample rows and columns (n, r, GRID) in the level's cells, cell 0's centre being 0."""
    step = (torch.arange(GRID, device=boxes.device, dtype=torch.float32) + 0.5) / GRID
    x0, y0, x1, y1 = (boxes[..., axis : axis + 1] for axis in range(4))
    scale = inverse_stride.unsqueeze(-1)
    return (y0 + (y1 - y0) * step) * scale - 0.5, (x0 + (x1 - x0) * step) * scale - 0.5


def _neighbours(position: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The cells on both sides (int64) and the weight of the second; clamped to the map."""
    position = torch.minimum(position.clamp(min=0.0), size - 1.0)
    low = torch.floor(position)
    high = torch.minimum(low + 1.0, size - 1.0)
    return low.long(), high.long(), position - low
