"""The contract between a model and whoever trains, serves or runs it.

In: a `BreastImage` (pixels already decoded and windowed). Out: a `ModelOutput` (regions in the
image's own pixel grid, and class probabilities). Between the two lie the tensors that Triton sees,
described by `ModelSpec`. Only numpy is imported here: training and serving share every line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Modality = Literal["MG", "US"]
Laterality = Literal["L", "R"]


class FindingKind(StrEnum):
    """What a region is; `workers.dicom.codes` maps each to a SNOMED CT code."""

    MASS = "mass"
    CALCIFICATION_CLUSTER = "calcification_cluster"
    ARTERIAL_CALCIFICATION = "arterial_calcification"


class ModelInputError(ValueError):
    """The image cannot be given to this model (too small, empty, no breast in it)."""


class ModelOutputError(ValueError):
    """The served tensors are not what the spec promises (shape, dtype, NaN)."""


@dataclass(frozen=True, slots=True)
class BreastImage:
    """One image frame, ready for preprocessing.

    `pixels`: float32 (rows, columns), 0 = air or background, 1 = brightest; rescale and VOI applied
    (PS3.3 C.11), MONOCHROME1 inverted. `pixel_spacing_mm`: (between rows, between columns), or None
    where the object gives no trustworthy spacing. `view`: "CC", "MLO", ... or None.
    `patient_age_years` at the examination and `density` (BI-RADS "A" to "D") are None if unknown.
    """

    pixels: NDArray[np.float32]
    modality: Modality
    laterality: Laterality | None = None
    view: str | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    for_processing: bool = False
    patient_age_years: float | None = None
    density: str | None = None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One Triton tensor. `shape` is without the batch axis; `datatype` is Triton's name."""

    name: str
    datatype: Literal["FP32", "INT32", "UINT8"]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a worker must know of a model before it sends the first image.

    `preprocessing`: every parameter of the path from image to tensor (sizes in px, lengths in mm).
    `thresholds`: operating point per class, score in [0, 1]. `classes`: index order of the heads.
    """

    name: str
    version: str
    modality: Modality
    task: Literal["detection", "segmentation", "classification"]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    classes: tuple[str, ...]
    thresholds: Mapping[str, float]
    preprocessing: Mapping[str, Any]
    max_batch_size: int

    def preprocessing_digest(self) -> str:
        """SHA-256 (hex) of inputs, classes and preprocessing; written into `config.pbtxt`.

        A worker refuses a served model whose digest differs from its own.
        """
        facts = {
            "inputs": [asdict(tensor) for tensor in self.inputs],
            "classes": list(self.classes),
            "preprocessing": dict(self.preprocessing),
        }
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Prepared:
    """Tensors for one image, by input name, each with a leading batch axis (n tiles, usually 1).

    `geometry` is what the same model's `postprocess` needs to return to image pixels.
    """

    tensors: Mapping[str, NDArray[Any]]
    geometry: Any


@dataclass(frozen=True, slots=True)
class Region:
    """One finding in the image's pixel grid.

    `mask`: bool (height, width), a crop whose top left pixel is image pixel `offset_px`
    (row, column). The crop holds every True pixel and lies inside the image.
    `score` in [0, 1]. `label`: the class that the model gave it, of those of its specification;
    empty from a model that tells none apart.
    """

    kind: FindingKind
    score: float
    mask: NDArray[np.bool_]
    offset_px: tuple[int, int]
    label: str = ""


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Regions at or above the operating point, best first, and probabilities by class name."""

    regions: tuple[Region, ...] = ()
    classification: Mapping[str, float] = field(default_factory=dict)


class Model(Protocol):
    """One model as the worker sees it: numpy in, numpy out, stateless."""

    @property
    def spec(self) -> ModelSpec: ...

    def preprocess(self, image: BreastImage) -> Prepared:
        """Make the tensors. Raises ModelInputError."""
        ...

    def postprocess(self, outputs: Mapping[str, NDArray[Any]], prepared: Prepared) -> ModelOutput:
        """Read the tensors (leading batch axis as sent). Raises ModelOutputError."""
        ...
