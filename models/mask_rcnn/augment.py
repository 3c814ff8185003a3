"""Augmentation on the device: geometry, contrast, noise, speckle, marks burnt in by a scanner.

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

    `stretch`: largest change of aspect as a factor; `bend`: standard deviation of a smooth
    displacement, as a share of the image side. `gamma`, `gain`: largest relative change; `noise`:
    standard deviation in grey values; `speckle`: of a multiplicative field. `marks`: share of the
    images that get crosses like those of callipers, which must not give a lesion away.
    """

    rotation_degrees: float = 15.0
    scale: float = 1.2
    stretch: float = 1.0
    shift: float = 0.05
    bend: float = 0.0
    vertical_flip: bool = False
    gamma: float = 0.25
    gain: float = 0.15
    noise: float = 4.0
    speckle: float = 0.0
    marks: float = 0.0


_BEND_KNOTS = 5  # of the coarse grid that displacements are drawn on
_SPECKLE_PX = 3  # correlation length of speckle after the image was reduced
_MOST_MARKS = 4


def augment(images: Tensor, labels: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Transform each image of the batch in its own way, drawn from torch's generator."""
    with torch.autocast(images.device.type, enabled=False):
        grid = _grid(images, config)
        moved = functional.grid_sample(images.float(), grid, align_corners=False)
        marks = functional.grid_sample(
            labels.unsqueeze(1).float(), grid, mode="nearest", align_corners=False
        )
        seen = _grey(moved, config)
        if config.marks > 0:
            seen = torch.maximum(seen, _crosses(seen, config.marks))
        return seen, marks.squeeze(1).round().to(torch.uint8)


def _grid(images: Tensor, config: AugmentConfig) -> Tensor:
    """Where each output pixel reads from (n, h, w, 2), in normalised coordinates."""
    count, _, height, width = images.shape
    theta = _transforms(count, images.device, config)
    # Normalised coordinates stretch the longer side less: turned in them, a circle would not stay.
    theta[:, 0, 1] *= height / width
    theta[:, 1, 0] *= width / height
    grid = functional.affine_grid(theta, [count, 1, height, width], align_corners=False)
    if config.bend > 0:
        knots = torch.randn(count, 2, _BEND_KNOTS, _BEND_KNOTS, device=images.device)
        smooth = functional.interpolate(
            knots * (2.0 * config.bend), (height, width), mode="bicubic", align_corners=True
        )
        grid = grid + smooth.permute(0, 2, 3, 1)
    return grid


def _transforms(count: int, device: torch.device, config: AugmentConfig) -> Tensor:
    """Affine matrices (n, 2, 3) from output to input, in normalised coordinates."""

    def signed() -> Tensor:
        return torch.rand(count, device=device) * 2 - 1

    angle = signed() * math.radians(config.rotation_degrees)
    scale, stretch = config.scale ** signed(), config.stretch ** (signed() / 2)
    mirror = torch.where(signed() < 0, -1.0, 1.0)
    turn = torch.where(signed() < 0, -1.0, 1.0) if config.vertical_flip else torch.ones_like(mirror)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift_x, shift_y = signed() * 2 * config.shift, signed() * 2 * config.shift
    top = torch.stack([cosine * mirror * stretch, -sine * mirror * stretch, shift_x], dim=1)
    bottom = torch.stack([sine * turn / stretch, cosine * turn / stretch, shift_y], dim=1)
    return torch.stack([top, bottom], dim=1)


def _grey(images: Tensor, config: AugmentConfig) -> Tensor:
    """Change contrast and brightness per image and channel; background stays near 0."""
    shape = (images.shape[0], images.shape[1], 1, 1)
    gamma = torch.exp((torch.rand(shape, device=images.device) * 2 - 1) * config.gamma)
    gain = 1 + (torch.rand(shape, device=images.device) * 2 - 1) * config.gain
    changed = 255.0 * gain * (images / 255.0).clamp(min=1e-4) ** gamma
    if config.speckle > 0:
        changed = changed * _speckle(images, config.speckle)
    return (changed + torch.randn_like(images) * config.noise).clamp(0.0, 255.0)


def _speckle(images: Tensor, strength: float) -> Tensor:
    """A multiplicative field around 1 (n, 1, h, w), of a strength of its own for each image."""
    count, _, height, width = images.shape
    field = torch.randn(count, 1, height, width, device=images.device)
    # Averaging k x k values divides their deviation by k.
    smooth = functional.avg_pool2d(field, _SPECKLE_PX, 1, _SPECKLE_PX // 2) * _SPECKLE_PX
    share = torch.rand(count, 1, 1, 1, device=images.device) * strength
    return torch.exp(smooth * share)


def _crosses(images: Tensor, share: float) -> Tensor:
    """Bright crosses (n, 1, h, w) at random places of `share` of the images, else 0."""
    count, _, height, width = images.shape
    device = images.device
    shape = (count, _MOST_MARKS, 1, 1)
    row = torch.rand(shape, device=device) * height
    column = torch.rand(shape, device=device) * width
    arm = 2.0 + torch.rand(shape, device=device) * 0.02 * width
    down = (torch.arange(height, device=device).reshape(1, 1, -1, 1) - row).abs()
    across = (torch.arange(width, device=device).reshape(1, 1, 1, -1) - column).abs()
    cross = ((down < 0.7) & (across < arm)) | ((across < 0.7) & (down < arm))
    drawn = torch.rand(shape, device=device) < torch.rand((count, 1, 1, 1), device=device)
    chosen = torch.rand((count, 1, 1, 1), device=device) < share
    return (cross & drawn & chosen).any(dim=1, keepdim=True).float() * 230.0
