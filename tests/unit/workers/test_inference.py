"""One image through one model: what the model or its answer lacks is the run's outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract import (
    BreastImage,
    FindingKind,
    ModelOutput,
    ModelSpec,
    Prepared,
    Region,
)
from models.registry import get_model
from tests.datasets import mammogram
from workers.images import SourceImage
from workers.inference import run_model


class Empty:
    """A model of one's own that marks a region without a pixel."""

    spec = get_model("mask_rcnn_mg").spec

    def preprocess(self, image: BreastImage) -> Prepared:
        return Prepared({}, None)

    def postprocess(self, outputs: Mapping[str, NDArray[Any]], prepared: Prepared) -> ModelOutput:
        mask = np.zeros((4, 4), dtype=np.bool_)
        return ModelOutput((Region(FindingKind.MASS, 0.9, mask, (0, 0)),))


class Served:
    """A Triton that answers."""

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[Mapping[str, NDArray[Any]], str]:
        return {}, "1"


def test_a_region_without_a_pixel_is_a_failed_run() -> None:
    """It is reported as such; it ended the whole study."""
    image = BreastImage(np.zeros((8, 8), np.float32), "MG")
    source = SourceImage(mammogram(), image, None, 1)
    outcome = run_model(Empty(), source, Served(), study_uid="1.2", revision=1)
    assert outcome.error == "a mass region without a single pixel"
    assert not outcome.declined
