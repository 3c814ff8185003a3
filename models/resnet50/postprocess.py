"""From the classifier's answer to probabilities by class name.

In: float32 probabilities (1, 3). Out: a `ModelOutput` without regions. What must hold: the numbers
are a distribution; anything else means that something other than our graph is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract import ModelOutput, ModelOutputError
from models.resnet50.spec import CLASSES, SPEC

# Softmax in float32 over three classes misses 1 by less than this.
TOLERANCE = 1e-3


def postprocess(outputs: Mapping[str, NDArray[Any]]) -> ModelOutput:
    """Raises ModelOutputError."""
    name = SPEC.outputs[0].name
    array = outputs.get(name)
    if array is None or array.shape != (1, len(CLASSES)):
        found = "nothing" if array is None else str(array.shape)
        raise ModelOutputError(f"{name} is {found}, expected (1, {len(CLASSES)})")
    row = array[0].astype(np.float64)
    if not np.isfinite(row).all() or (row < 0).any() or abs(row.sum() - 1.0) > TOLERANCE:
        raise ModelOutputError(f"{name} is no distribution: {row.tolist()}")
    row /= row.sum()
    return ModelOutput(classification=dict(zip(CLASSES, row.tolist(), strict=True)))
