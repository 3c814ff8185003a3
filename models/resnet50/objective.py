"""What the classifier is trained to do: name the class, and say where lesions are.

In: the network and a `Batch`. Out: named losses. What must hold: an image whose class or lesions
are not known adds nothing to that part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    adaptive_max_pool2d,
    binary_cross_entropy_with_logits,
    cross_entropy,
)

from models.resnet50.batches import Batch
from models.resnet50.network import ResNet50
from models.resnet50.samples import LESION, NO_CLASS, UNKNOWN
from models.resnet50.settings import Objective


def losses(module: nn.Module, batch: Batch, settings: Objective) -> Mapping[str, Tensor]:
    """Cross entropy of the classes, binary cross entropy of the lesion map."""
    logits, lesion = cast(ResNet50, module).parts(batch.images, batch.clinical)
    return {
        "class": class_loss(logits.float(), batch.labels, settings.label_smoothing),
        "lesion": settings.lesion_weight
        * lesion_loss(lesion.float(), batch.lesions, settings.lesion_positive_weight),
    }


def class_loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean over the rows of `logits` (N, 3) whose label is not NO_CLASS; zero where all are."""
    each = cross_entropy(
        logits, labels, label_smoothing=smoothing, ignore_index=NO_CLASS, reduction="sum"
    )
    return each / (labels != NO_CLASS).sum().clamp(min=1)


def lesion_loss(logits: Tensor, lesions: Tensor, positive_weight: float) -> Tensor:
    """Mean over the images whose map (N, H, W) is known; `logits` (N, 1, H/16, W/16)."""
    known = (lesions != UNKNOWN).all(dim=2).all(dim=1).float()
    target = adaptive_max_pool2d((lesions == LESION).float()[:, None], logits.shape[2:])
    weight = torch.tensor(positive_weight, device=logits.device)
    each = binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=weight)
    return (each.mean((1, 2, 3)) * known).sum() / known.sum().clamp(min=1.0)
