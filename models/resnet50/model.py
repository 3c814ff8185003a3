"""The classifier as the worker sees it: numpy in, numpy out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from models.contract import BreastImage, ModelOutput, ModelSpec, Prepared
from models.resnet50.postprocess import postprocess
from models.resnet50.preprocess import preprocess
from models.resnet50.spec import SPEC


@dataclass(frozen=True, slots=True)
class ResNet50Model:
    """`models.contract.Model`."""

    spec: ModelSpec = SPEC

    def preprocess(self, image: BreastImage) -> Prepared:
        return preprocess(image)

    def postprocess(self, outputs: Mapping[str, NDArray[Any]], prepared: Prepared) -> ModelOutput:
        return postprocess(outputs)
