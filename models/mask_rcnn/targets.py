"""What the network should have answered: boxes of the truth, and which anchor or proposal is what.

In: label maps (0 background, i the i-th mass) and boxes. Out: assignments of fixed size, sampled
at random on the device. Nothing loops over boxes and nothing waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.mask_rcnn.boxes import overlap
from models.mask_rcnn.configuration import MASK_PX
from models.mask_rcnn.labelled import LESION, MOST_MASSES, UNKNOWN

_SMALLEST_PX = 4.0  # what augmentation leaves of a mass at the border is not worth finding
_JITTERED = 4
_JITTER = 0.15  # of the box's side: overlaps of 0.5 to 1 with the truth


@dataclass(frozen=True, slots=True)
class Truth:
    """`labels` uint8 (n, height, width); `boxes` float (n, g, 4); `present` bool (n, g).

    Row i of `boxes` is the mass of label i + 1. `image_class` int64 (n,) and `mass_class` int64
    (n, g) are codes of `models.mask_rcnn.labelled`.
    """

    labels: Tensor
    boxes: Tensor
    present: Tensor
    image_class: Tensor
    mass_class: Tensor


@dataclass(frozen=True, slots=True)
class Sampled:
    """Proposals for the second stage, the positive slots first.

    `boxes` (n, s, 4); `positive` and `used` bool (n, s); `mass` int64 (n, s), a row of
    `Truth.boxes`, meaningful where positive.
    """

    boxes: Tensor
    positive: Tensor
    used: Tensor
    mass: Tensor


def truth_of(labels: Tensor, classes: Tensor | None = None) -> Truth:
    """Boxes of every label in uint8 (n, height, width); `classes` uint8 (n, 1 + g) or unknown."""
    if classes is None:
        classes = labels.new_full((len(labels), 1 + MOST_MASSES), LESION)
        classes[:, 0] = UNKNOWN
    numbers = torch.arange(1, MOST_MASSES + 1, device=labels.device, dtype=labels.dtype)
    mass = labels.unsqueeze(1) == numbers.reshape(1, -1, 1, 1)
    y0, y1 = _extent(mass.any(dim=3))
    x0, x1 = _extent(mass.any(dim=2))
    boxes = torch.stack([x0, y0, x1, y1], dim=-1)
    present = (x1 - x0 >= _SMALLEST_PX) & (y1 - y0 >= _SMALLEST_PX)
    classes = classes.long()
    return Truth(labels, boxes * present.unsqueeze(-1), present, classes[:, 0], classes[:, 1:])


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """First True and one past the last True along the last axis; (0, 0) where there is none."""
    size = occupied.shape[-1]
    value = occupied.to(torch.uint8)
    first = value.argmax(dim=-1).float()
    last = size - value.flip(-1).argmax(dim=-1).float()
    some = occupied.any(dim=-1)
    return first * some, last * some


def match_anchors(
    anchors: Tensor, truth: Truth, positive: float = 0.6, negative: float = 0.3
) -> tuple[Tensor, Tensor, Tensor]:
    """Label every anchor: positive bool (n, a), negative bool (n, a), matched boxes (n, a, 4).

    Positive above the overlap `positive`, and in any case the anchors that overlap a mass best
    (Ren et al., section 3.1.2); negative below `negative`.
    """
    overlaps = overlap(truth.boxes, anchors) * truth.present.unsqueeze(-1)
    best, mass = overlaps.max(dim=1)
    top = overlaps.amax(dim=2, keepdim=True)
    closest = ((overlaps >= top - 1e-3) & (overlaps > 0.1)).any(dim=1)
    chosen = (best >= positive) | closest
    matched = truth.boxes.gather(1, mass.unsqueeze(-1).expand(-1, -1, 4))
    return chosen, (best < negative) & ~chosen, matched


def sample_proposals(
    candidates: Tensor, valid: Tensor, truth: Truth, positives: int = 16, total: int = 64
) -> Sampled:
    """Choose `positives` + rest of the proposals (n, p, 4) and of boxes made from the truth.

    The truth and jittered copies of it stand among the candidates: a network that proposes nothing
    yet still learns to classify and to draw.
    """
    boxes, valid = _with_truth(candidates, valid, truth)
    overlaps = overlap(boxes, truth.boxes) * truth.present.unsqueeze(1)
    best, mass = overlaps.max(dim=2)
    positive = (best >= 0.5) & (valid > 0)
    negative = (best < 0.5) & (valid > 0)
    chance = torch.rand_like(best) + 0.1
    first_score, first = (positive * chance).topk(positives, dim=1)
    rest_score, rest = (negative * chance).topk(total - positives, dim=1)
    index = torch.cat([first, rest], dim=1)
    used = torch.cat([first_score, rest_score], dim=1) > 0
    slot = torch.arange(total, device=boxes.device) < positives
    return Sampled(
        boxes=boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4)),
        positive=used & slot,
        used=used,
        mass=mass.gather(1, index),
    )


def _with_truth(candidates: Tensor, valid: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    x0, y0, x1, y1 = truth.boxes.unbind(dim=-1)
    side = torch.stack([x1 - x0, y1 - y0, x1 - x0, y1 - y0], dim=-1)
    copies = truth.boxes.repeat(1, _JITTERED, 1)
    noise = (torch.rand_like(copies) * 2 - 1) * _JITTER
    jittered = copies + noise * side.repeat(1, _JITTERED, 1)
    present = truth.present.to(valid.dtype)
    boxes = torch.cat([candidates, truth.boxes, jittered], dim=1)
    return boxes, torch.cat([valid, present, present.repeat(1, _JITTERED)], dim=1)


def mask_targets(boxes: Tensor, mass: Tensor, labels: Tensor) -> Tensor:
    """Truth (n, s, 28, 28), 0 or 1, at the cell centres of boxes (n, s, 4) for `mass` (n, s)."""
    count, height, width = labels.shape
    step = (torch.arange(MASK_PX, device=boxes.device) + 0.5) / MASK_PX
    x0, y0, x1, y1 = (boxes[..., axis : axis + 1] for axis in range(4))
    column = (x0 + (x1 - x0) * step).floor().clamp(0, width - 1).long()
    row = (y0 + (y1 - y0) * step).floor().clamp(0, height - 1).long()
    image = torch.arange(count, device=boxes.device).reshape(-1, 1, 1, 1)
    index = (image * height + row.unsqueeze(-1)) * width + column.unsqueeze(-2)
    found = labels.flatten()[index]
    return (found == (mass + 1).unsqueeze(-1).unsqueeze(-1)).float()
