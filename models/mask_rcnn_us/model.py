"""The ultrasound Mask R-CNN as a worker sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from models.contract import BreastImage, Model, ModelOutput, ModelSpec, Prepared
from models.mask_rcnn import detections
from models.mask_rcnn_us.preprocess import preprocess
from models.mask_rcnn_us.spec import SPEC


class UltrasoundMaskRCNN:
    """Masses in one ultrasound frame."""

    @property
    def spec(self) -> ModelSpec:
        return SPEC

    def preprocess(self, image: BreastImage) -> Prepared:
        """See `models.mask_rcnn_us.preprocess`. Raises ModelInputError."""
        return preprocess(image)

    def postprocess(self, outputs: Mapping[str, NDArray[Any]], prepared: Prepared) -> ModelOutput:
        """See `models.mask_rcnn.detections`. Raises ModelOutputError."""
        return detections.postprocess(SPEC, outputs, prepared)


MODEL: Model = UltrasoundMaskRCNN()
