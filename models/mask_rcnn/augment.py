"""Augmentation on the device: flip, small rotation, scale and shift, contrast, noise.

In: images uint8 (n, 3, h, w) and label maps uint8 (n, h, w). Out: images float32, 0 to 255, and
label maps transformed alike. Rotation keeps the morphological channels valid: their line elements
come in all directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Largest rotation in degrees, scale as a factor, shift as a share of the image side.

    `gamma`, `gain`: largest relative change; `noise`: standard deviation in grey values.
    """

    rotation_degrees: float = 15.0
    scale: float = 1.2
    shift: float = 0.05
    vertical_flip: bool = False
    gamma: float = 0.25
    gain: float = 0.15
    noise: float = 4.0


def augment(images: Tensor, labels: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Transform each image of the batch in its own way, drawn from torch's generator."""
    grid = functional.affine_grid(
        _transforms(images.shape[0], images.device, config),
        [images.shape[0], 1, *images.shape[2:]],
        align_corners=False,
    )
    with torch.autocast(images.device.type, enabled=False):
        moved = functional.grid_sample(images.float(), grid, align_corners=False)
        marks = functional.grid_sample(
            labels.unsqueeze(1).float(), grid, mode="nearest", align_corners=False
        )
        return _grey(moved, config), marks.squeeze(1).round().to(torch.uint8)


def _transforms(count: int, device: torch.device, config: AugmentConfig) -> Tensor:
    """Affine matrices (n, 2, 3) from output to input, in normalised coordinates."""

    def signed() -> Tensor:
        return torch.rand(count, device=device) * 2 - 1

    angle = signed() * math.radians(config.rotation_degrees)
    scale = config.scale ** signed()
    mirror = torch.where(signed() < 0, -1.0, 1.0)
    turn = torch.where(signed() < 0, -1.0, 1.0) if config.vertical_flip else torch.ones_like(mirror)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift_x, shift_y = signed() * 2 * config.shift, signed() * 2 * config.shift
    top = torch.stack([cosine * mirror, -sine * mirror, shift_x], dim=1)
    bottom = torch.stack([sine * turn, cosine * turn, shift_y], dim=1)
    return torch.stack([top, bottom], dim=1)


def _grey(images: Tensor, config: AugmentConfig) -> Tensor:
    """Change contrast and brightness per image and channel; background stays near 0."""
    shape = (images.shape[0], images.shape[1], 1, 1)
    gamma = torch.exp((torch.rand(shape, device=images.device) * 2 - 1) * config.gamma)
    gain = 1 + (torch.rand(shape, device=images.device) * 2 - 1) * config.gain
    changed = 255.0 * gain * (images / 255.0).clamp(min=1e-4) ** gamma
    return (changed + torch.randn_like(images) * config.noise).clamp(0.0, 255.0)
