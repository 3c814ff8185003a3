"""Small images first, large ones last: most of what a detector learns does not need every pixel.

In: images uint8 (n, 3, h, w) and label maps uint8 (n, h, w) at full size, and how much of the
budget is spent. Out: the same at the size that belongs there. What must hold: the last stage has
the size that is served, so that statistics and anchors fit it in the end.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Stages = tuple[tuple[float, int], ...]
"""(share of the budget from which on, side in pixels), ascending, the first from 0."""


def side_at(share: float, stages: Stages) -> int:
    """The side in pixels that training uses when `share` of its budget is spent."""
    return [side for start, side in stages if start <= share][-1]


def shrink(images: Tensor, labels: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Images and labels at `size` (rows, columns); a lesion keeps the cells whose centre it has."""
    if tuple(images.shape[-2:]) == size:
        return images, labels
    with torch.autocast(images.device.type, enabled=False):
        small = functional.interpolate(images.float(), size, mode="bilinear", antialias=True)
        marks = functional.interpolate(labels.unsqueeze(1).float(), size, mode="nearest-exact")
    return small.round().clamp(0, 255).to(torch.uint8), marks.squeeze(1).to(torch.uint8)
