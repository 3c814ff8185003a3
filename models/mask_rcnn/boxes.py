"""Box arithmetic in torch: overlap, encoding, clipping.

A box is (x0, y0, x1, y1) in input pixels, continuous: the box of pixel column 3 is x0 = 3, x1 = 4.
Everything is float32, also under autocast: bfloat16 cannot tell pixel 1000 from pixel 1003.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LARGEST_LOG = math.log(1000.0 / 16.0)  # no box grows more than this: exp would overflow

Weights = tuple[float, float, float, float]
PROPOSAL_WEIGHTS: Weights = (1.0, 1.0, 1.0, 1.0)
DETECTION_WEIGHTS: Weights = (10.0, 10.0, 5.0, 5.0)
"""Scale of the offsets (dx, dy, dw, dh) towards unit variance (Girshick, "Fast R-CNN")."""


def area(boxes: Tensor) -> Tensor:
    """Areas (...) in px2 of boxes (..., 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersection(first: Tensor, second: Tensor) -> Tensor:
    """Common areas (..., n, m) in px2 of boxes (..., n, 4) and (..., m, 4)."""
    a, b = first.unsqueeze(-2), second.unsqueeze(-3)
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    return width.clamp(min=0.0) * height.clamp(min=0.0)


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (..., n, m) of boxes (..., n, 4) and (..., m, 4)."""
    common = intersection(first, second)
    union = area(first).unsqueeze(-1) + area(second).unsqueeze(-2) - common
    return common / union.clamp(min=1e-6)


def encode(reference: Tensor, boxes: Tensor, weights: Weights) -> Tensor:
    """Offsets (..., 4) that turn `reference` into `boxes` (Girshick et al., "R-CNN")."""
    width = (reference[..., 2] - reference[..., 0]).clamp(min=1e-3)
    height = (reference[..., 3] - reference[..., 1]).clamp(min=1e-3)
    dx = (boxes[..., 0] + boxes[..., 2] - reference[..., 0] - reference[..., 2]) / 2 / width
    dy = (boxes[..., 1] + boxes[..., 3] - reference[..., 1] - reference[..., 3]) / 2 / height
    dw = torch.log((boxes[..., 2] - boxes[..., 0]).clamp(min=1e-3) / width)
    dh = torch.log((boxes[..., 3] - boxes[..., 1]).clamp(min=1e-3) / height)
    return torch.stack([dx, dy, dw, dh], dim=-1) * torch.tensor(weights, device=boxes.device)


def decode(reference: Tensor, offsets: Tensor, weights: Weights) -> Tensor:
    """The inverse of `encode`; growth is limited so that no box is infinite."""
    offsets = offsets.float()
    width = reference[..., 2] - reference[..., 0]
    height = reference[..., 3] - reference[..., 1]
    x = (reference[..., 0] + reference[..., 2]) / 2 + offsets[..., 0] / weights[0] * width
    y = (reference[..., 1] + reference[..., 3]) / 2 + offsets[..., 1] / weights[1] * height
    half_width = torch.exp((offsets[..., 2] / weights[2]).clamp(max=_LARGEST_LOG)) * width / 2
    half_height = torch.exp((offsets[..., 3] / weights[3]).clamp(max=_LARGEST_LOG)) * height / 2
    return torch.stack([x - half_width, y - half_height, x + half_width, y + half_height], dim=-1)


def clip(boxes: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut to an image of (height, width)."""
    height, width = size_px
    x0, y0 = boxes[..., 0].clamp(0.0, width), boxes[..., 1].clamp(0.0, height)
    x1, y1 = boxes[..., 2].clamp(0.0, width), boxes[..., 3].clamp(0.0, height)
    return torch.stack([x0, y0, x1, y1], dim=-1)


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Rows (n, k, 4) of `rows` (n, m, 4) at `index` (n, k)."""
    return rows.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
