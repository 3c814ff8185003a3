"""What training changes in an image, on the device, for a whole batch at once.

In: images float32 (N, 2, H, W) in [0, 255] (grey, detail), lesion maps uint8 (N, H, W) (0 none,
1 lesion, 2 not known), a generator of the step. Out: the same. What must hold: images and maps move
together, and the same generator state gives the same result.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from models.resnet50.settings import AugmentConfig


def augment(
    images: Tensor, lesions: Tensor, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Move, then relight."""
    images, lesions = _moved(images, lesions, config, generator)
    return _relit(images, config, generator), lesions


def _spread(count: int, width: float, generator: torch.Generator) -> Tensor:
    return (2.0 * torch.rand(count, generator=generator) - 1.0) * width


def _moved(
    images: Tensor, lesions: Tensor, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    count, (height, width) = len(images), images.shape[2:]
    angle = _spread(count, config.rotation, generator)
    scale = torch.exp(_spread(count, config.scale, generator))
    stretch = torch.exp(0.5 * _spread(count, config.aspect, generator))
    down, right = (_spread(count, config.shift, generator) for _ in range(2))
    flip = 1.0 - 2.0 * (torch.rand(count, generator=generator) < config.upside_down).float()
    cosine, sine, ratio = torch.cos(angle) * scale, torch.sin(angle) * scale, height / width
    theta = torch.stack(
        [
            *(cosine * stretch, -sine * stretch * ratio, right),
            *(flip * sine / stretch / ratio, flip * cosine / stretch, down),
        ],
        dim=1,
    ).view(-1, 2, 3)
    grid = affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    moved = grid_sample(images, grid, align_corners=False)
    maps = grid_sample(lesions[:, None].float(), grid, mode="nearest", align_corners=False)
    return moved, maps[:, 0].to(torch.uint8)


def _relit(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Gamma and gain of the grey levels, gain of the detail, and noise; values in [0, 255]."""
    count, device = len(images), images.device
    gamma, gain, sharp = (
        torch.exp(_spread(count, wide, generator)).to(device).view(-1, 1, 1, 1)
        for wide in (config.gamma, config.gain, 2.0 * config.gain)
    )
    grey = (images[:, :1] / 255.0) ** gamma * gain
    relit = torch.cat([grey, images[:, 1:] / 255.0 * sharp], dim=1)
    # Millions of numbers: drawn where they are needed.
    seed = int(torch.randint(2**31, (1,), generator=generator))
    local = torch.Generator(device).manual_seed(seed)
    noise = torch.randn(relit.shape, generator=local, device=device) * config.noise
    return (torch.where(relit > 0, relit + noise, relit) * 255.0).clamp(0.0, 255.0)
