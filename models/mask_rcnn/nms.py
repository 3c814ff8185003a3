"""Greedy non-maximum suppression as matrix products: no ONNX NonMaxSuppression, no loop over boxes.

Greedy suppression keeps a box unless a kept box of higher score overlaps it. With boxes in
descending order this is the fixed point of keep = valid and not any(conflict and keep), reached
after as many rounds as the longest chain "a suppresses b, which would have suppressed c, ...".
Twelve rounds gave greedy's exact answer on every random and dense set tried. The operators exist
in ONNX opset 13 and in TensorRT 8.2, and the sizes are static, so the graph can be batched.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.mask_rcnn.boxes import area, intersection

ROUNDS = 12


def suppress(boxes: Tensor, valid: Tensor, overlap: float) -> Tensor:
    """Which boxes greedy suppression keeps, float (n, k): 1 kept, 0 not.

    `boxes` (n, k, 4) in descending order of score; `valid` float (n, k), 0 for rows to ignore.
    Two boxes conflict where their intersection over union exceeds `overlap`.
    """
    common = intersection(boxes, boxes)
    areas = area(boxes)
    union = areas.unsqueeze(-1) + areas.unsqueeze(-2) - common
    rank = torch.arange(int(boxes.shape[1]), device=boxes.device, dtype=torch.float32)
    better = (rank.unsqueeze(0) < rank.unsqueeze(1)).to(torch.float32)
    conflict = (common > overlap * union).to(torch.float32) * better
    keep = valid
    for _ in range(ROUNDS):
        beaten = torch.matmul(conflict, keep.unsqueeze(-1)).squeeze(-1)
        keep = valid * (beaten < 0.5).to(torch.float32)
    return keep
