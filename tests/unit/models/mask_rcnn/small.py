"""The spec of a network that is small enough to be tested."""

from __future__ import annotations

from models.contract import ModelSpec
from models.mask_rcnn import tensors
from models.mask_rcnn.configuration import NetworkConfig


def spec_of(config: NetworkConfig) -> ModelSpec:
    """Tensors and classes of `config`; the rest is arbitrary."""
    return ModelSpec(
        name="small",
        version="1",
        modality="US",
        task="detection",
        inputs=tensors.inputs(config),
        outputs=tensors.outputs(config),
        classes=("background", "benign", "malignant")[: config.classes],
        thresholds={"mass": 0.5},
        preprocessing={},
        max_batch_size=4,
    )
