"""Batches for MTU-Net: which tile of each image, and how it is turned, scaled and relit.

In: tiles and truth bits of some images, on any device. Out: a batch on the same device. Alghamdi
2024 (section III.C) rotates, scales, shifts and flips; gamma, gain and noise stand for vendors.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from models.mtu_net.data import BITS, TILES
from models.mtu_net.spec import CLASSES
from models.training.windows import cut

Batch = tuple[Tensor, Tensor]


def augmented(
    tiles: Tensor, truth: Tensor, generator: torch.Generator, window_px: int | None
) -> Batch:
    """From uint8 (N, tiles, H, W) both to tiles (N, 1, h, w) and truth (N, 3, h, w).

    One tile of each image: a batch of as many different breasts as it has tiles. An image may have
    one tile alone, all of it.
    """
    chosen = (_chosen(len(tiles), generator) % tiles.shape[1]).to(tiles.device)
    rows = torch.arange(len(tiles), device=tiles.device)
    grey, marks = tiles[rows, chosen][:, None], truth[rows, chosen]
    if window_px is not None:
        grey, marks = cut(grey, marks, window_px)
    planes = _turned(torch.cat([grey, marks[:, None]], dim=1), generator)
    return _relit(planes[:, :1].float(), generator), one_hot(planes[:, 1])


def one_hot(bits: Tensor) -> Tensor:
    """Truth bits uint8 (N, H, W) to float32 (N, 3, H, W) in the order of CLASSES."""
    mc = (bits & BITS["calcification_cluster"]) > 0
    bac = (bits & BITS["arterial_calcification"]) > 0
    planes = {"mc": mc, "bac": bac, "background": ~(mc | bac)}
    return torch.stack([planes[name] for name in CLASSES], dim=1).float()


def _chosen(count: int, generator: torch.Generator) -> Tensor:
    """Tile numbers (count): as many of each kind that `data.make_sample` cuts, in turn.

    A batch without a class only teaches never to predict it (equation 1 has nothing to overlap),
    so the kinds are not left to chance.
    """
    kinds = torch.arange(count) % (TILES // 2)
    return 2 * kinds + torch.randint(2, (count,), generator=generator)


def _turned(planes: Tensor, generator: torch.Generator) -> Tensor:
    """Flip, transpose, and for half of the tiles rotate and scale; grey and truth together."""
    count, device = len(planes), planes.device
    flip_rows, flip_columns, swap, bend = (
        (torch.rand(count, generator=generator) < 0.5).to(device)[:, None, None, None]
        for _ in range(4)
    )
    planes = torch.where(flip_rows, planes.flip(2), planes)
    planes = torch.where(flip_columns, planes.flip(3), planes)
    planes = torch.where(swap, planes.transpose(2, 3), planes)
    angle = (torch.rand(count, generator=generator) - 0.5) * 1.4  # radians, up to 40 degrees
    scale = torch.exp((torch.rand(count, generator=generator) - 0.5) * 0.4)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    zero = torch.zeros_like(cosine)
    theta = torch.stack([cosine, -sine, zero, sine, cosine, zero], dim=1).view(-1, 2, 3)
    grid = affine_grid(theta.to(device), list(planes.shape), align_corners=False)
    grey = grid_sample(planes[:, :1].float(), grid, align_corners=False)
    truth = grid_sample(planes[:, 1:].float(), grid, mode="nearest", align_corners=False)
    bent = torch.cat([grey, truth], dim=1).to(planes.dtype)
    return torch.where(bend, bent, planes)


def _relit(grey: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma, gain and noise, as processing differs between vendors; (N, 1, H, W) in [0, 255]."""
    shape = (len(grey), 1, 1, 1)
    gamma, gain, grain = (torch.rand(shape, generator=generator).to(grey.device) for _ in range(3))
    relit = (grey / 255.0) ** torch.exp((gamma - 0.5) * 0.9) * (0.8 + 0.4 * gain)
    noise = torch.randn_like(relit) * 0.02 * grain
    return (torch.where(grey > 0, relit + noise, relit) * 255.0).clamp(0.0, 255.0)
