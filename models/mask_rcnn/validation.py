"""How well a network detects, on images it was not trained on, in the network's own pixels.

In: a network and a stock of samples. Out: what was seen of each image, and figures: sensitivity at
1, 1/2 and 1/4 false positives per image (read off the free-response curve), the scores that give
them, mean Dice of what was found, and with an image head the share of images that it classes
rightly. A detection is a hit if its box overlaps a mass not yet hit by 0.3 or more (intersection
over union). The report for readers is `models.evaluation`; this one is quick and needs no pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.contract import FindingKind
from models.imaging.geometry import Placement
from models.imaging.regions import region
from models.mask_rcnn.boxes import overlap
from models.mask_rcnn.labelled import MALIGNANT
from models.mask_rcnn.targets import Truth, truth_of
from models.training.samples import SampleStock

_HIT_OVERLAP = 0.3
_LIMITS = {"1": 1.0, "half": 0.5, "quarter": 0.25}

_MERITS = ("sensitivity_at_half_fp", "dice_of_hits", "accuracy")
"""What `merit` is the mean of: one figure to choose weights by."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """One detection: its score, whether it is a hit, and then its mask's Dice coefficient."""

    score: float
    hit: bool
    dice: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One image: its detections, how many masses it has, whether its class was told rightly.

    `right` is None where the network has no image head or the class is not known.
    """

    found: tuple[Found, ...]
    masses: int
    right: bool | None = None


def validate(network: nn.Module, stock: SampleStock, batch: int) -> Mapping[str, float]:
    """Figures of `network` over the whole stock."""
    return figures(look(network, stock, batch))


def look(network: nn.Module, stock: SampleStock, batch: int) -> list[Seen]:
    """Run the network over the whole stock, in its order."""
    return [
        seen
        for pixels, labels, classes in stock.in_order(batch)
        for seen in _batch(network, pixels, labels, classes)
    ]


def _batch(network: nn.Module, pixels: Tensor, labels: Tensor, classes: Tensor) -> Iterator[Seen]:
    with (
        torch.inference_mode(),
        torch.autocast(pixels.device.type, torch.bfloat16, enabled=pixels.is_cuda),
    ):
        boxes, scores, _, masks, _, *image = network(pixels)
    truth = truth_of(labels, classes)
    for row in range(pixels.shape[0]):
        overlaps = overlap(boxes[row].float(), truth.boxes[row]) * truth.present[row]
        found = _match(
            scores[row].float().cpu().numpy(),
            boxes[row].float().cpu().numpy(),
            masks[row].float().cpu().numpy(),
            overlaps.cpu().numpy(),
            labels[row].cpu().numpy(),
        )
        right = _is_right(image[0][row], truth, row) if image else None
        yield Seen(tuple(found), int(truth.present[row].sum()), right)


def _is_right(probabilities: Tensor, truth: Truth, row: int) -> bool | None:
    wanted = int(truth.image_class[row])
    return int(probabilities.argmax()) == wanted if wanted <= MALIGNANT else None


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


def figures(seen: Sequence[Seen], weight: Floats | None = None) -> dict[str, float]:
    """Figures over images; `weight`: how often each counts (a bootstrap sample), 1 by default."""
    weight = np.ones(len(seen)) if weight is None else weight
    table = np.array(
        [
            (item.score, item.hit, item.dice, count)
            for image, count in zip(seen, weight, strict=True)
            for item in image.found
        ]
    ).reshape(-1, 4)
    table = table[np.argsort(-table[:, 0], kind="stable")]
    score, hit, dice, count = table.T
    masses = float(sum(image.masses * n for image, n in zip(seen, weight, strict=True)))
    found = np.cumsum(hit * count) / max(1.0, masses)
    false = np.cumsum((1.0 - hit) * count) / max(1.0, float(weight.sum()))
    result: dict[str, float] = {}
    for name, limit in _LIMITS.items():
        last = int(np.searchsorted(false, limit, side="right")) - 1
        result[f"sensitivity_at_{name}_fp"] = float(found[last]) if last >= 0 else 0.0
        result[f"threshold_at_{name}_fp"] = float(score[last]) if last >= 0 else 1.0
    within = hit * count * (false <= 1.0)
    result["dice_of_hits"] = float((dice * within).sum() / max(1e-9, within.sum()))
    result |= _accuracy(seen, weight)
    result["merit"] = float(np.mean([result[name] for name in _MERITS if name in result]))
    return result | {"masses": masses, "images": float(weight.sum())}


def _accuracy(seen: Sequence[Seen], weight: Floats) -> dict[str, float]:
    told = [(image.right, n) for image, n in zip(seen, weight, strict=True) if n > 0]
    known = [(float(right), n) for right, n in told if right is not None]
    if not known:
        return {}
    return {"accuracy": float(sum(r * n for r, n in known) / sum(n for _, n in known))}
