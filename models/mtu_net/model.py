"""MTU-Net as the worker sees it: numpy in, numpy out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from models.contract import BreastImage, ModelOutput, ModelSpec, Prepared
from models.mtu_net.postprocess import postprocess
from models.mtu_net.preprocess import preprocess
from models.mtu_net.spec import SPEC


@dataclass(frozen=True, slots=True)
class MTUNetModel:
    """`models.contract.Model`; another `spec` brings other operating points, nothing else."""

    spec: ModelSpec = SPEC

    def preprocess(self, image: BreastImage) -> Prepared:
        return preprocess(image)

    def postprocess(self, outputs: Mapping[str, NDArray[Any]], prepared: Prepared) -> ModelOutput:
        return postprocess(outputs, prepared, self.spec.thresholds)
