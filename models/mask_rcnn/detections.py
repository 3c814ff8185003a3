"""From served tensors to regions in the image; numpy only.

In: the outputs of one image (batch of 1) and its placement. Out: regions at or above the operating
point, best first. What must hold: tensors that break the spec's promises are refused, because a
wrong engine or a half-written answer must become a failed job, not an empty report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract import (
    FindingKind,
    ModelOutput,
    ModelOutputError,
    ModelSpec,
    Prepared,
    Region,
)
from models.imaging.geometry import Placement
from models.imaging.regions import region
from models.mask_rcnn import tensors
from models.mask_rcnn.configuration import IMAGE_CLASSES

DETECTION_SHARE = 0.75
"""Weight of the best detection in whether an image shows a lesion; chosen on images that neither
trained the ultrasound model nor are reported on."""
_LEAST_PROBABILITY = 1e-9

_NUMPY = {"FP32": np.dtype(np.float32), "INT32": np.dtype(np.int32), "UINT8": np.dtype(np.uint8)}


def postprocess(
    spec: ModelSpec, outputs: Mapping[str, NDArray[Any]], prepared: Prepared
) -> ModelOutput:
    """Regions of one image. Raises ModelOutputError."""
    _refuse_other_tensors(spec, outputs)
    placement: Placement = prepared.geometry
    count = int(outputs["num"][0, 0])
    found: list[Region] = []
    for row in range(count):
        label = _class_of(spec, int(outputs["labels"][0, row]))
        score = float(outputs["scores"][0, row])
        if score < spec.thresholds[FindingKind.MASS]:
            continue
        x0, y0, x1, y1 = (float(edge) for edge in outputs["boxes"][0, row])
        painted = region(
            FindingKind.MASS, score, outputs["masks"][0, row], (x0, y0, x1, y1), placement
        )
        if painted is not None:
            found.append(replace(painted, label=label))
    found.sort(key=lambda item: -item.score)
    return ModelOutput(tuple(found), _classification(outputs))


def _classification(outputs: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """The image's probabilities by class name; empty where the model has no image head.

    Whether there is a lesion is told by the best detection more than by the image head, benign or
    malignant by the image head alone, which sees what lies around a lesion.
    """
    if tensors.IMAGE not in outputs:
        return {}
    normal, *others = (float(value) for value in outputs[tensors.IMAGE][0])
    found = float(outputs["scores"].max(initial=0.0))
    lesion = DETECTION_SHARE * found + (1.0 - DETECTION_SHARE) * (1.0 - normal)
    scale = lesion / max(sum(others), _LEAST_PROBABILITY)
    return dict(zip(IMAGE_CLASSES, [1.0 - lesion, *(scale * p for p in others)], strict=True))


def _refuse_other_tensors(spec: ModelSpec, outputs: Mapping[str, NDArray[Any]]) -> None:
    for tensor in spec.outputs:
        array = outputs.get(tensor.name)
        if array is None:
            raise ModelOutputError(f"{spec.name} gave no tensor {tensor.name}")
        if array.shape != (1, *tensor.shape) or array.dtype != _NUMPY[tensor.datatype]:
            raise ModelOutputError(
                f"{spec.name}: {tensor.name} is {array.dtype}{list(array.shape)}, "
                f"not {tensor.datatype}{[1, *tensor.shape]}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelOutputError(f"{spec.name}: {tensor.name} is not finite")
    count, scores = int(outputs["num"][0, 0]), outputs["scores"]
    if not 0 <= count <= scores.shape[1]:
        raise ModelOutputError(f"{spec.name} claims {count} detections in {scores.shape[1]} rows")
    if scores.min() < 0 or scores.max() > 1:
        raise ModelOutputError(f"{spec.name} gave a score outside 0 to 1")


def _class_of(spec: ModelSpec, label: int) -> str:
    """Empty where the specification knows but one class beside the background."""
    if not 1 <= label < len(spec.classes):
        raise ModelOutputError(f"{spec.name} gave label {label} of {len(spec.classes)} classes")
    return spec.classes[label] if len(spec.classes) > 2 else ""
