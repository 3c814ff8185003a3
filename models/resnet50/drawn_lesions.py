"""Lesions drawn into normal images of a batch: the lesion output always has something to find.

In: images float32 (N, 2, H, W) in [0, 255] (grey, detail), lesion maps uint8 (N, H, W). Out: copies
with one lesion in each. On the network's own grid, so that no two steps see the same lesion; the
careful insertion into full-size images is `models.insertion`. What must hold: these images have no
class any more, only a place.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

RADIUS_SHARES = (0.02, 0.07)  # of the rows: masses of about 4 to 14 mm on a breast of 200 mm
HARMONICS = 4  # of the outline: lobes, no corners
SPICULES = (6, 14)
CONTRAST = (12.0, 55.0)  # grey levels at the centre
SPECKS = 10
SPECK_LEVELS = (60.0, 220.0)
CLUSTER_SHARE = 0.4  # of the lesions; the others are masses
TISSUE_LEVEL = 40.0  # grey levels: brighter than skin and the fat under it
EDGE_PX = 5


def draw(images: Tensor, lesions: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One mass or one cluster of specks in each image, somewhere in the tissue."""
    count, device = len(images), images.device
    rows, columns = _centres(images, generator)
    down = torch.arange(images.shape[2], device=device).view(1, -1, 1) - rows.view(-1, 1, 1)
    right = torch.arange(images.shape[3], device=device).view(1, 1, -1) - columns.view(-1, 1, 1)
    distance = torch.sqrt((down * down + right * right).float())
    angle = torch.atan2(down.float(), right.float())
    low, high = RADIUS_SHARES
    radius = (low + (high - low) * _uniform(count, generator, device)) * images.shape[2]
    is_mass = (_uniform(count, generator, device) >= CLUSTER_SHARE).float()
    mass = _mass(distance, angle, radius, generator) * is_mass
    specks = _specks(distance, down, right, radius, generator) * (1.0 - is_mass)
    inside = (images[:, 0] > 0).float()
    grey = images[:, 0] + inside * (mass + 0.2 * specks)
    detail = images[:, 1] + inside * specks
    drawn = torch.stack([grey, detail], dim=1).clamp(0.0, 255.0)
    reach = (distance <= radius.view(-1, 1, 1)) & (images[:, 0] > 0)
    return drawn, torch.where(reach, torch.ones_like(lesions), lesions)


def _uniform(count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand(count, generator=generator).to(device).view(-1, 1, 1)


def _centres(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random pixel (row, column) of each image's tissue, away from the skin."""
    width = images.shape[3]
    tissue = (images[:, 0] > TISSUE_LEVEL).float()
    edge = EDGE_PX
    tissue[:, :edge], tissue[:, -edge:], tissue[:, :, -edge:] = 0.0, 0.0, 0.0
    # The n-th pixel of tissue, n drawn anew; an image without any takes its last pixel.
    passed = tissue.flatten(1).cumsum(dim=1)
    wanted = torch.rand(len(images), 1, generator=generator).to(passed) * passed[:, -1:]
    index = torch.searchsorted(passed, wanted, right=True)[:, 0].clamp(max=passed.shape[1] - 1)
    return index // width, index % width


def _mass(distance: Tensor, angle: Tensor, radius: Tensor, generator: torch.Generator) -> Tensor:
    """A lobulated core with a soft margin, with or without spicules; (N, H, W) grey levels."""
    count, device = len(distance), distance.device
    outline = torch.ones_like(angle)
    for order in range(2, 2 + HARMONICS):
        phase = 2.0 * math.pi * _uniform(count, generator, device)
        size = 0.25 / order * _uniform(count, generator, device)
        outline = outline + 2.0 * size * torch.cos(order * angle + phase)
    edge = (0.08 + 0.3 * _uniform(count, generator, device)) * radius
    core = torch.sigmoid((radius * outline - distance) / edge)
    fewest, most = SPICULES
    rays = torch.floor(fewest + (most - fewest) * _uniform(count, generator, device))
    phase = 2.0 * math.pi * _uniform(count, generator, device)
    star = torch.cos(0.5 * (rays * angle + phase)) ** 16 * torch.exp(-distance / (1.6 * radius))
    spiculated = (_uniform(count, generator, device) < 0.5).float()
    low, high = CONTRAST
    contrast = low + (high - low) * _uniform(count, generator, device)
    return contrast * torch.maximum(core, spiculated * star)


def _specks(
    distance: Tensor, down: Tensor, right: Tensor, radius: Tensor, generator: torch.Generator
) -> Tensor:
    """Single bright pixels scattered over the lesion; (N, H, W)."""
    count, device = len(distance), distance.device
    result = torch.zeros_like(distance)
    low, high = SPECK_LEVELS
    for _ in range(SPECKS):
        place = torch.randn(2, count, generator=generator).to(device).view(2, -1, 1, 1)
        row, column = (torch.round(0.5 * radius * offset) for offset in place)
        level = low + (high - low) * _uniform(count, generator, device)
        result = result + level * ((down == row) & (right == column))
    return result
