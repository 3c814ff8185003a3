"""Evaluate one model: every case through preprocessing, inference and postprocessing.

In: a model, something that answers inference requests, cases. Out: results, the cases that the
model refused and those whose file could not be read. What must hold: the path is the one of
service, function by function; only the threshold on scores is lowered, to see what lies below the
operating point. "On tiles" is an experiment beside it: prediction on four parts, as in paper 001.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.contract import (
    BreastImage,
    FindingKind,
    Model,
    ModelInputError,
    ModelOutput,
    ModelSpec,
    Prepared,
    Region,
)
from models.datasets.cases import Case, Truth
from models.datasets.tables import DataSetError
from models.evaluation.matching import ImageResult, judge
from models.imaging.tiles import over_tiles, quarters
from models.mask_rcnn import detections, tensors
from models.mtu_net.postprocess import postprocess as mtu_net_postprocess

KINDS = {
    "mass": FindingKind.MASS,
    "mc": FindingKind.CALCIFICATION_CLUSTER,
    "bac": FindingKind.ARTERIAL_CALCIFICATION,
}

# Scores below this are noise in every detector; counting them would only lengthen the FROC's tail.
LOWEST_SCORE = 0.02


class Server(Protocol):
    """What answers inference requests: ONNX Runtime or torch in this process, or Triton."""

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[Mapping[str, NDArray[Any]], str]: ...


@dataclass(slots=True)
class Outcome:
    """`results` of the cases that ran; the others with name and reason."""

    results: list[ImageResult] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def thresholds_by_kind(spec: ModelSpec) -> dict[FindingKind, float]:
    """Operating point of each kind of finding; empty for a classifier."""
    return {KINDS[name]: value for name, value in spec.thresholds.items() if name in KINDS}


def can_be_judged(spec: ModelSpec, truth: Truth) -> bool:
    """Whether any figure comes of an image: the truth tells its class, or a kind of finding."""
    tells_classes = spec.task == "classification" or any(
        tensor.name == tensors.IMAGE for tensor in spec.outputs
    )
    kinds = thresholds_by_kind(spec)
    return (tells_classes and truth.label is not None) or any(map(truth.knows, kinds))


def evaluate(
    model: Model,
    server: Server,
    cases: Iterable[Case],
    done: Callable[[], None],
    *,
    tiled: bool = False,
) -> Outcome:
    """Run all cases, whole or on tiles; `done` comes after each. Raises what `server` raises.

    None is run where none can be judged: a set of thousands would take an hour to say so.
    """
    cases = list(cases)
    thresholds = thresholds_by_kind(model.spec)
    outcome = Outcome()
    if not any(can_be_judged(model.spec, case.truth) for case in cases):
        return Outcome([ImageResult(c.name, c.truth.label, {}, None, None, None) for c in cases])
    for case in cases:
        try:
            output, shape = run_case(model, server, case, tiled=tiled)
        except ModelInputError as error:
            outcome.refused.append((case.name, str(error)))
        except (OSError, DataSetError) as error:
            # A set of thousands often lacks a few files; the report says which.
            outcome.unreadable.append((case.name, str(error)))
        else:
            outcome.results.append(judge(case, output, shape, frozenset(thresholds), thresholds))
        done()
    return outcome


def run_case(
    model: Model, server: Server, case: Case, *, tiled: bool = False
) -> tuple[ModelOutput, tuple[int, int]]:
    """The model's output down to LOWEST_SCORE, and (rows, columns) of the image."""
    image = case.read()
    output = on_tiles(model, server, image) if tiled else on_whole(model, server, image)
    return output, (image.pixels.shape[0], image.pixels.shape[1])


def on_whole(model: Model, server: Server, image: BreastImage) -> ModelOutput:
    """As in service. Raises ModelInputError."""
    prepared = model.preprocess(image)
    outputs, _ = server.infer(model.spec, prepared.tensors)
    return everything(model, outputs, prepared)


def on_tiles(model: Model, server: Server, image: BreastImage) -> ModelOutput:
    """Regions of four overlapping parts, merged (Raza et al., paper 001, figure 6).

    A part that the model refuses, such as one of air alone, holds nothing; the image is refused
    where all are. Raises ModelInputError. Probabilities are of whole images and left out.
    """
    refusals: list[ModelInputError] = []
    seen = 0

    def predict(pixels: NDArray[np.float32]) -> Sequence[Region]:
        nonlocal seen
        seen += 1
        try:
            return on_whole(model, server, replace(image, pixels=pixels)).regions
        except ModelInputError as error:
            refusals.append(error)
            return ()

    tile_px, overlap_px = quarters((image.pixels.shape[0], image.pixels.shape[1]))
    regions = over_tiles(image.pixels, tile_px, overlap_px, predict)
    if len(refusals) == seen:
        raise refusals[0]
    return ModelOutput(regions)


def everything(
    model: Model, outputs: Mapping[str, NDArray[np.generic]], prepared: Prepared
) -> ModelOutput:
    """The model's output down to LOWEST_SCORE instead of its operating point."""
    floor = dict.fromkeys(model.spec.thresholds, LOWEST_SCORE)
    if model.spec.task == "detection":
        return detections.postprocess(replace(model.spec, thresholds=floor), outputs, prepared)
    if model.spec.task == "segmentation":
        return mtu_net_postprocess(outputs, prepared, floor)
    return model.postprocess(outputs, prepared)
