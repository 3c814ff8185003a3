"""A Mask R-CNN as the worker sees it: numpy in, numpy out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from models.contract import BreastImage, ModelOutput, ModelSpec, Prepared
from models.mask_rcnn import detections


@dataclass(frozen=True, slots=True)
class MaskRCNNModel:
    """`models.contract.Model`; `make_tensors` is what differs by modality."""

    spec: ModelSpec
    make_tensors: Callable[[BreastImage], Prepared]

    def preprocess(self, image: BreastImage) -> Prepared:
        """Raises ModelInputError."""
        return self.make_tensors(image)

    def postprocess(self, outputs: Mapping[str, NDArray[Any]], prepared: Prepared) -> ModelOutput:
        """See `models.mask_rcnn.detections`. Raises ModelOutputError."""
        return detections.postprocess(self.spec, outputs, prepared)
