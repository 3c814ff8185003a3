"""The training objective: proposals, class, box and mask (He et al., section 3; Kumar et al.,
equations 1, 2 and 5), and where the network has those heads, semantic map and image class.

In: the network and a batch. Out: named scalar losses, whose sum is minimised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.mask_rcnn.boxes import DETECTION_WEIGHTS, PROPOSAL_WEIGHTS, clip, encode
from models.mask_rcnn.labelled import MALIGNANT, UNKNOWN
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn.renyi import renyi_entropy
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


@dataclass(frozen=True, slots=True)
class LossConfig:
    """`smooth_l1` and `renyi`: weights of the two terms on detection boxes.

    1 and 0 are He et al.; with `renyi` above 0 the entropy regularises, of order `alpha`; with
    `smooth_l1` 0 it replaces the other, as Kumar et al. have it (section II-C, change c).
    `positives` of `sampled` boxes per image train the second stage. `semantic`, `image`: weights.
    `image_smoothing`: share of an image's class that is spread over all (Szegedy et al. 2016,
    section 7), because a few hundred labels are soon known by heart.
    """

    smooth_l1: float = 1.0
    renyi: float = 0.0
    alpha: float = 2.0
    positives: int = 16
    sampled: int = 64
    semantic: float = 1.0
    image: float = 0.5
    image_smoothing: float = 0.0


def losses(
    network: MaskRCNN, images: Tensor, truth: Truth, config: LossConfig
) -> dict[str, Tensor]:
    """Losses of images (n, 3, height, width) of grey values 0 to 255 against their truth."""
    maps = network.features(images)
    logits, offsets = network.proposals(maps.maps[1:])
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
    features = sample(maps.roi_maps, sampled.boxes, network.config)
    parts |= _box_losses(network, features, sampled, truth, config)
    parts["mask"] = _mask_loss(network, features, sampled, truth, config.positives)
    if maps.semantic is not None:
        parts["semantic"] = config.semantic * _semantic_loss(maps.semantic, truth)
    if maps.image is not None:
        entropy = class_entropy(maps.image, truth.image_class, config.image_smoothing)
        known = (truth.image_class != UNKNOWN).float()
        parts["image"] = config.image * (entropy * known).sum() / known.sum().clamp(min=1)
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
    wanted_class = truth.mass_class.gather(1, sampled.mass) * sampled.positive
    used = sampled.used.flatten().float()
    entropy = class_entropy(logits, wanted_class.flatten()) * used
    matched = truth.boxes.gather(1, sampled.mass.unsqueeze(-1).expand(-1, -1, 4))
    wanted = encode(sampled.boxes, matched, DETECTION_WEIGHTS).flatten(0, 1)
    positive = sampled.positive.flatten()
    error = functional.smooth_l1_loss(offsets, wanted, reduction="none").sum(dim=-1) * positive
    parts = {
        "class": entropy.sum() / used.sum().clamp(min=1),
        "box": config.smooth_l1 * error.sum() / positive.sum().clamp(min=1),
    }
    if config.renyi > 0:
        residuals = offsets - wanted
        parts["renyi"] = config.renyi * renyi_entropy(residuals, positive, config.alpha)
    return parts


def class_entropy(logits: Tensor, wanted: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy (k,) of logits (k, 2 or 3) against class codes (k,) of `labelled`.

    A code that leaves several classes open asks for the sum of their probabilities: a phantom's
    mass teaches that it is one, not which. `smoothing`: share that asks for all classes alike.
    """
    allowed = _ALLOWED[logits.shape[1]].to(logits.device).index_select(0, wanted)
    likelihood = torch.log_softmax(logits, dim=1)
    told = -torch.logsumexp(likelihood.masked_fill(~allowed, -math.inf), dim=1)
    return (1.0 - smoothing) * told - smoothing * likelihood.mean(dim=1)


_ALLOWED = {
    2: torch.tensor([[1, 0], [0, 1], [0, 1], [0, 1], [1, 1]], dtype=torch.bool),
    3: torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]], dtype=torch.bool),
}
"""By number of classes, rows by class code: which classes the truth leaves open."""


def _semantic_loss(logits: Tensor, truth: Truth) -> Tensor:
    """Binary cross-entropy and one minus Dice of all pixels, at the map's own stride."""
    lesion = (truth.labels > 0).float().unsqueeze(1)
    wanted = functional.avg_pool2d(lesion, lesion.shape[-1] // logits.shape[-1])
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted)
    probability = torch.sigmoid(logits)
    common = (probability * wanted).sum(dim=(1, 2, 3))
    total = probability.sum(dim=(1, 2, 3)) + wanted.sum(dim=(1, 2, 3))
    return 2.0 * entropy + (1.0 - (2.0 * common + 1.0) / (total + 1.0)).mean()


def _mask_loss(
    network: MaskRCNN, features: Tensor, sampled: Sampled, truth: Truth, positives: int
) -> Tensor:
    """Binary cross-entropy on the positive slots, which stand first."""
    boxes, mass = sampled.boxes[:, :positives], sampled.mass[:, :positives]
    logits = network.mask_head(features[:, :positives].flatten(0, 1))
    if network.config.mask_classes > 1:
        # Only the mask of the true class is trained (He et al., section 3); unknown is the first.
        row = truth.mass_class.gather(1, mass).flatten()
        row = torch.where(row == MALIGNANT, row - 1, torch.zeros_like(row))
        logits = logits.gather(1, row.reshape(-1, 1, 1, 1).expand(-1, 1, *logits.shape[2:]))
    logits = logits[:, 0]
    wanted = mask_targets(boxes, mass, truth.labels).flatten(0, 1)
    used = sampled.positive[:, :positives].flatten().float()
    error = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (error.mean(dim=(1, 2)) * used).sum() / used.sum().clamp(min=1)
