"""Figures of the classifier during training, on the validation stocks.

In: a network in evaluation mode. Out: areas under the ROC curve by set: malignant against the rest
and abnormal against normal, from the image alone and (`_with_facts`) with the clinical facts. Also
`predict`, which reports use.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.evaluation.metrics import auc
from models.resnet50.spec import CLASSES
from models.training.samples import SampleStock

_ROWS = 64


def figures(module: nn.Module, stocks: Mapping[str, SampleStock]) -> Mapping[str, float]:
    """`<set>_auc_malignant`, `<set>_auc_abnormal`, and the former with facts."""
    found: dict[str, float] = {}
    for name, stock in stocks.items():
        alone, labels = predict(module, stock, with_facts=False)
        found[f"{name}_auc_malignant"] = malignant_auc(alone, labels)
        found[f"{name}_auc_abnormal"] = abnormal_auc(alone, labels)
        together, _ = predict(module, stock, with_facts=True)
        found[f"{name}_auc_malignant_with_facts"] = malignant_auc(together, labels)
    return found


def predict(
    module: nn.Module, stock: SampleStock, with_facts: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities (N, 3) and labels (N), in the stock's order, in single precision."""
    probabilities, labels = [], []
    for images, clinical, label, _ in stock.in_order(_ROWS):
        given = images.contiguous(memory_format=torch.channels_last)
        logits = module(given, clinical if with_facts else torch.zeros_like(clinical))
        probabilities.append(torch.softmax(logits.float(), dim=1).cpu())
        labels.append(label[:, 0].cpu())
    return torch.cat(probabilities).double().numpy(), torch.cat(labels).numpy()


def malignant_auc(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Malignant against the rest; images without a class are left out."""
    rows, malignant = labels >= 0, CLASSES.index("malignant")
    return auc(labels[rows] == malignant, probabilities[rows, malignant])


def abnormal_auc(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Benign or malignant against normal."""
    rows, normal = labels >= 0, CLASSES.index("normal")
    return auc(labels[rows] != normal, 1.0 - probabilities[rows, normal])
