"""The training objective: proposals, class, box and mask (He et al., section 3).

In: the network and a batch. Out: named scalar losses, whose sum is minimised. The optional Renyi
term follows Kumar et al., who replace smooth L1 by an entropy of the box residuals. As printed it
takes a 4-vector of signed numbers for a probability distribution; ours is the quadratic Renyi
entropy of the residuals in a batch, estimated with Gaussian kernels, with as many zeros appended,
which anchor its mode at zero error. That reading is ours, it is added to smooth L1, and it is off
unless asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.mask_rcnn.boxes import DETECTION_WEIGHTS, PROPOSAL_WEIGHTS, clip, encode
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn.roi import sample
from models.mask_rcnn.targets import (
    Sampled,
    Truth,
    mask_targets,
    match_anchors,
    sample_proposals,
)

_ANCHOR_POSITIVES = 64
_ANCHOR_NEGATIVES = 128
_KERNEL_WIDTH = 0.5  # in encoded units, where residuals of a trained box head have variance near 1


@dataclass(frozen=True, slots=True)
class LossConfig:
    """`renyi`: weight of the entropy term on detection boxes; 0 is plain Mask R-CNN."""

    renyi: float = 0.0
    positives: int = 16
    sampled: int = 64


def losses(
    network: MaskRCNN, images: Tensor, truth: Truth, config: LossConfig
) -> dict[str, Tensor]:
    """Losses of images (n, 3, height, width) of grey values 0 to 255 against their truth."""
    maps = network.features(images)
    logits, offsets = network.proposals(maps[1:])
    with torch.no_grad():
        candidates, valid = network.proposals.propose(logits, offsets)
        sampled = sample_proposals(candidates, valid, truth, config.positives, config.sampled)
        sampled = Sampled(
            clip(sampled.boxes, network.config.input_px),
            sampled.positive,
            sampled.used,
            sampled.mass,
        )
    parts = _proposal_losses(network, logits, offsets, truth)
    features = sample(maps, sampled.boxes)
    parts |= _box_losses(network, features, sampled, truth, config)
    parts["mask"] = _mask_loss(network, features, sampled, truth, config.positives)
    return parts


def _proposal_losses(
    network: MaskRCNN, logits: list[Tensor], offsets: list[Tensor], truth: Truth
) -> dict[str, Tensor]:
    anchors = torch.cat(network.proposals.level_anchors())
    logit, offset = torch.cat(logits, dim=1), torch.cat(offsets, dim=1)
    with torch.no_grad():
        positive, negative, matched = match_anchors(anchors, truth)
        wanted = encode(anchors, matched, PROPOSAL_WEIGHTS)
        chance = torch.rand_like(logit)
        hits, hit = (positive * (chance + 0.1)).topk(_ANCHOR_POSITIVES, dim=1)
        # Half of the negatives at random, half the most mistaken: most anchors lie in air.
        easy, _ = negative.float().mul(chance + 0.1).topk(_ANCHOR_NEGATIVES // 2, dim=1)
        at_random = negative & (chance + 0.1 >= easy[:, -1:])
        hard = torch.where(negative, logit.detach(), torch.full_like(logit, -1e4))
        limit = hard.topk(_ANCHOR_NEGATIVES // 2, dim=1).values[:, -1:]
        background = at_random | (negative & (hard >= limit))
    found = hits > 0
    pushed_up = functional.softplus(-logit.gather(1, hit)) * found
    pushed_down = functional.softplus(logit) * background
    rows = hit.unsqueeze(-1).expand(-1, -1, 4)
    error = functional.smooth_l1_loss(
        offset.gather(1, rows), wanted.gather(1, rows), beta=1 / 9, reduction="none"
    )
    count = (found.sum() + background.sum()).clamp(min=1)
    return {
        "objectness": (pushed_up.sum() + pushed_down.sum()) / count
        + pushed_up.sum() / found.sum().clamp(min=1),
        "proposal": (error.sum(dim=-1) * found).sum() / found.sum().clamp(min=1),
    }


def _box_losses(
    network: MaskRCNN, features: Tensor, sampled: Sampled, truth: Truth, config: LossConfig
) -> dict[str, Tensor]:
    logits, offsets = network.box_head(features.flatten(0, 1))
    wanted_class = sampled.positive.long().flatten()
    used = sampled.used.flatten().float()
    entropy = functional.cross_entropy(logits, wanted_class, reduction="none") * used
    matched = truth.boxes.gather(1, sampled.mass.unsqueeze(-1).expand(-1, -1, 4))
    wanted = encode(sampled.boxes, matched, DETECTION_WEIGHTS).flatten(0, 1)
    positive = sampled.positive.flatten()
    error = functional.smooth_l1_loss(offsets, wanted, reduction="none").sum(dim=-1) * positive
    parts = {
        "class": entropy.sum() / used.sum().clamp(min=1),
        "box": error.sum() / positive.sum().clamp(min=1),
    }
    if config.renyi > 0:
        parts["renyi"] = config.renyi * renyi_entropy(offsets - wanted, positive)
    return parts


def renyi_entropy(residuals: Tensor, used: Tensor) -> Tensor:
    """Quadratic Renyi entropy of residuals (k, 4) where `used` (k), mean over the coordinates.

    H2(e) = -log(1/m^2 sum_ij G(e_i - e_j)), G a Gaussian kernel of peak 1 and width 0.5, over the
    residuals and as many zeros. Without used rows it is 0. Smallest, 0, when every residual is 0.
    """
    weight = torch.cat([used, used]).to(residuals.dtype)
    points = torch.cat([residuals, torch.zeros_like(residuals)])
    distance2 = (points.unsqueeze(0) - points.unsqueeze(1)) ** 2
    kernel = torch.exp(-distance2 / (2 * _KERNEL_WIDTH**2))
    pair = (weight.unsqueeze(0) * weight.unsqueeze(1)).unsqueeze(-1)
    count2 = (weight.sum() ** 2).clamp(min=1)
    mean = (kernel * pair).sum(dim=(0, 1)) / count2
    return torch.where(weight.sum() > 0, -torch.log(mean.clamp(min=1e-6)).mean(), mean.sum() * 0)


def _mask_loss(
    network: MaskRCNN, features: Tensor, sampled: Sampled, truth: Truth, positives: int
) -> Tensor:
    """Binary cross-entropy on the positive slots, which stand first."""
    boxes, mass = sampled.boxes[:, :positives], sampled.mass[:, :positives]
    logits = network.mask_head(features[:, :positives].flatten(0, 1))[:, 0]
    wanted = mask_targets(boxes, mass, truth.labels).flatten(0, 1)
    used = sampled.positive[:, :positives].flatten().float()
    error = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (error.mean(dim=(1, 2)) * used).sum() / used.sum().clamp(min=1)
