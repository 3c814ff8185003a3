"""The tensors of a Mask R-CNN as Triton sees them; numpy only.

FP32 in, although the values are bytes: TensorRT 8.2, the last on JetPack 4.6, reads no UINT8. The
masks are probabilities over each detection's box.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.contract import TensorSpec
from models.mask_rcnn.configuration import IMAGE_CLASSES, MASK_PX, NetworkConfig

INPUT = "image"
IMAGE = "classes"


def inputs(config: NetworkConfig) -> tuple[TensorSpec, ...]:
    """One image, channels first, grey values 0 to 255."""
    return (TensorSpec(INPUT, "FP32", (3, *config.input_px)),)


def outputs(config: NetworkConfig) -> tuple[TensorSpec, ...]:
    """Detections in descending order of score, zero-padded; `num` counts them.

    `classes`: the image's probabilities of `IMAGE_CLASSES`, from networks with an image head.
    """
    rows = config.detections
    detections = (
        TensorSpec("boxes", "FP32", (rows, 4)),
        TensorSpec("scores", "FP32", (rows,)),
        TensorSpec("labels", "INT32", (rows,)),
        TensorSpec("masks", "FP32", (rows, MASK_PX, MASK_PX)),
        TensorSpec("num", "INT32", (1,)),
    )
    if not config.image_head:
        return detections
    return (*detections, TensorSpec(IMAGE, "FP32", (len(IMAGE_CLASSES),)))


def as_input(channels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A batch of one (1, 3, rows, columns) from uint8 (rows, columns, 3)."""
    return np.ascontiguousarray(channels.transpose(2, 0, 1)[np.newaxis], np.float32)
