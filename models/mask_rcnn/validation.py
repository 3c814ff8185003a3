"""How well a network detects, on images it was not trained on, in the network's own pixels.

In: a network and a stock of samples. Out: sensitivity at 1, 1/2 and 1/4 false positives per image
(read off the free-response curve), the scores that give them, mean Dice of what was found, and with
an image head the share of images that it classes rightly. A detection is a hit if its box overlaps
a mass not yet hit by 0.3 or more (intersection over union).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.contract import FindingKind
from models.imaging.geometry import Placement
from models.imaging.regions import region
from models.mask_rcnn.boxes import overlap
from models.mask_rcnn.labelled import MALIGNANT
from models.mask_rcnn.targets import truth_of
from models.training.samples import SampleStock

_HIT_OVERLAP = 0.3
_LIMITS = {"1": 1.0, "half": 0.5, "quarter": 0.25}


@dataclass(frozen=True, slots=True)
class Found:
    """One detection: its score, whether it is a hit, and then its mask's Dice coefficient."""

    score: float
    hit: bool
    dice: float = 0.0


def validate(network: nn.Module, stock: SampleStock, batch: int) -> Mapping[str, float]:
    """Metrics of `network` over the whole stock."""
    found: list[Found] = []
    masses = images = known = right = 0
    for pixels, labels, classes in stock.in_order(batch):
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=pixels.is_cuda):
            boxes, scores, _, masks, _, *image = network(pixels)
        truth = truth_of(labels, classes)
        if image:
            told = truth.image_class <= MALIGNANT
            known += int(told.sum())
            right += int(((image[0].argmax(dim=1) == truth.image_class) & told).sum())
        for row in range(pixels.shape[0]):
            present = truth.present[row]
            overlaps = overlap(boxes[row].float(), truth.boxes[row]) * present
            found += _match(
                scores[row].float().cpu().numpy(),
                boxes[row].float().cpu().numpy(),
                masks[row].float().cpu().numpy(),
                overlaps.cpu().numpy(),
                labels[row].cpu().numpy(),
            )
            masses += int(present.sum())
            images += 1
    result = metrics(found, masses, images)
    if known:
        result["accuracy"] = right / known
    return result


def _match(
    scores: NDArray[np.float32],
    boxes: NDArray[np.float32],
    masks: NDArray[np.float32],
    overlaps: NDArray[np.float32],
    labels: NDArray[np.uint8],
) -> list[Found]:
    """Assign the detections of one image, best first, to its masses."""
    result: list[Found] = []
    free = overlaps.copy()
    for row in np.flatnonzero(scores > 0):
        mass = int(free[row].argmax())
        if free[row, mass] < _HIT_OVERLAP:
            result.append(Found(float(scores[row]), hit=False))
            continue
        free[:, mass] = 0.0
        dice = _dice(masks[row], boxes[row], labels == mass + 1)
        result.append(Found(float(scores[row]), hit=True, dice=dice))
    return result


def _dice(mask: NDArray[np.float32], box: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    rows, columns = truth.shape
    size = (rows, columns)
    same = Placement(size, (0, 0, rows, columns), size, (0, 0), size)
    x0, y0, x1, y1 = (float(edge) for edge in box)
    painted = region(FindingKind.MASS, 1.0, mask, (x0, y0, x1, y1), same)
    if painted is None:
        return 0.0
    (top, left), (height, width) = painted.offset_px, painted.mask.shape
    common = int((truth[top : top + height, left : left + width] & painted.mask).sum())
    return 2.0 * common / (int(truth.sum()) + int(painted.mask.sum()))


def metrics(found: list[Found], masses: int, images: int) -> dict[str, float]:
    """Read the free-response curve of `found` over `images` that hold `masses`."""
    ordered = sorted(found, key=lambda item: -item.score)
    hits = np.cumsum([item.hit for item in ordered]) / max(1, masses)
    false_positives = np.cumsum([not item.hit for item in ordered]) / max(1, images)

    def last_at(limit: float) -> int:
        return int(np.searchsorted(false_positives, limit, side="right")) - 1

    result: dict[str, float] = {}
    for name, limit in _LIMITS.items():
        last = last_at(limit)
        result[f"sensitivity_at_{name}_fp"] = float(hits[last]) if last >= 0 else 0.0
        result[f"threshold_at_{name}_fp"] = ordered[last].score if last >= 0 else 1.0
    dice = [item.dice for item in ordered[: last_at(1.0) + 1] if item.hit]
    result["dice_of_hits"] = float(np.mean(dice)) if dice else 0.0
    return result | {"masses": float(masses), "images": float(images)}
