"""Anchors of every pyramid level as constants: the input size is fixed, so nothing is computed."""

from __future__ import annotations

import torch
from torch import Tensor

from models.mask_rcnn.configuration import NetworkConfig


def anchors(config: NetworkConfig) -> list[Tensor]:
    """Per level P3 to P6, boxes (rows * columns * per_cell, 4): row major, a cell's together.

    An anchor's centre is the centre of its cell.
    """
    plan = config.anchors
    return [
        _level(stride, sizes, plan.ratios, config.input_px)
        for stride, sizes in zip(config.strides_px[1:], plan.sizes_px, strict=True)
    ]


def _level(
    stride: int, sizes: tuple[float, ...], ratios: tuple[float, ...], input_px: tuple[int, int]
) -> Tensor:
    shapes = [(size / ratio**0.5, size * ratio**0.5) for size in sizes for ratio in ratios]
    half = torch.tensor(shapes) / 2
    around = torch.cat([-half, half], dim=1)
    y = (torch.arange(input_px[0] // stride) + 0.5) * stride
    x = (torch.arange(input_px[1] // stride) + 0.5) * stride
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    centres = torch.stack([columns, rows, columns, rows], dim=-1).reshape(-1, 1, 4)
    return (centres + around).reshape(-1, 4)
