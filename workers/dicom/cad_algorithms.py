"""Which algorithm tried what on which image (PS3.16 TID 4015 to 4019).

In: every run on every mammogram. Out: the Summary of Detections and the Summary of Analyses. What
must hold: a run that failed stands under the failed ones; what was not tried is not mentioned; a
study on which nothing was tried says "Not Attempted".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from highdicom.sr import ContentItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from models.contract import FindingKind, ModelSpec
from models.registry import UnknownModelError, get_model
from node.errors import EncodingError
from workers.dicom import cad_codes, codes
from workers.dicom.content_items import (
    CONTAINS,
    INFERRED_FROM,
    PROPERTIES,
    by_reference,
    code,
    container,
    text,
)
from workers.findings import RunOutcome

_DCM = dictionary.DCM
# More than any site has models and versions of them.
_KEPT: Final = 256
# Position of the Image Library among the children of the root (TID 4000 rows 2 to 8).
_LIBRARY: Final = (1, 2)


def image_identifier(number: int) -> tuple[int, ...]:
    """Referenced Content Item Identifier of the library's entry `number`, 1-based."""
    return (*_LIBRARY, number)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One thing that one model does: a kind of finding, or, with None, the whole image.

    `operating_point`: the score from which it marks; None when the spec of that version is not at
    hand.
    """

    model: str
    version: str
    kind: FindingKind | None
    operating_point: float | None

    @property
    def performed(self) -> Code:
        """The code of Detection Performed (CID 6014) or Analysis Performed (CID 6043)."""
        return cad_codes.CLASSIFICATION if self.kind is None else _finding_code(self.kind)

    def identification(self) -> tuple[ContentItem, ...]:
        """TID 4019, rows 1 to 3."""
        items = identification(self.model, self.version)
        if self.operating_point is None:
            return items
        return (*items, _parameters(f"operating point: score {self.operating_point:g}"))


@lru_cache(_KEPT)
def identification(name: str, version: str) -> tuple[ContentItem, ...]:
    """TID 4019, rows 1 and 2; one set of items for all places, which only read them."""
    return (
        text(PROPERTIES, _DCM.AlgorithmName, name),
        text(PROPERTIES, _DCM.AlgorithmVersion, version),
    )


@lru_cache(_KEPT)
def _parameters(value: str) -> ContentItem:
    return text(PROPERTIES, _DCM.AlgorithmParameters, value)


def algorithms_of(run: RunOutcome) -> list[Algorithm]:
    """What the model of a run does. Raises EncodingError for a model that does not exist."""
    spec = _spec(run.model)
    if spec.task == "classification":
        return [Algorithm(run.model, run.model_version, None, None)]
    return [
        Algorithm(
            run.model,
            run.model_version,
            cad_codes.KIND_OF_CLASS[name],
            threshold if spec.version == run.model_version else None,
        )
        for name, threshold in spec.thresholds.items()
        if name in cad_codes.KIND_OF_CLASS
    ]


def algorithm_for(run: RunOutcome, kind: FindingKind) -> Algorithm:
    """The algorithm that made a finding of that kind."""
    found = (algorithm for algorithm in algorithms_of(run) if algorithm.kind == kind)
    return next(found, Algorithm(run.model, run.model_version, kind, None))


def summaries(runs_of_images: Sequence[Sequence[RunOutcome]]) -> list[ContentItem]:
    """TID 4000 rows 6 to 9. `runs_of_images`: in the order of the Image Library."""
    detections: dict[Algorithm, _Tries] = {}
    analyses: dict[Algorithm, _Tries] = {}
    for number, runs in enumerate(runs_of_images, start=1):
        for run in runs:
            for algorithm in algorithms_of(run):
                group = analyses if algorithm.kind is None else detections
                group.setdefault(algorithm, _Tries()).add(run, number)
    return [_summary(_DETECTIONS, detections), _summary(_ANALYSES, analyses)]


@dataclass(slots=True)
class _Tries:
    """Numbers of the images on which one algorithm succeeded, and failed."""

    succeeded: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    def add(self, run: RunOutcome, image_number: int) -> None:
        (self.succeeded if run.error is None else self.failed).append(image_number)


@dataclass(frozen=True, slots=True)
class _Names:
    """The concept names by which TID 4015 and 4016, 4017 and 4018 differ."""

    summary: Code
    successful: Code
    failed: Code
    performed: Code


_DETECTIONS: Final = _Names(
    _DCM.SummaryOfDetections,
    _DCM.SuccessfulDetections,
    _DCM.FailedDetections,
    _DCM.DetectionPerformed,
)
_ANALYSES: Final = _Names(
    _DCM.SummaryOfAnalyses,
    _DCM.SuccessfulAnalyses,
    _DCM.FailedAnalyses,
    _DCM.AnalysisPerformed,
)


def _summary(names: _Names, tries: Mapping[Algorithm, _Tries]) -> ContentItem:
    """TID 4000 rows 6 and 7 (or 8 and 9) with TID 4015 (or 4016)."""
    succeeded = {each: tried.succeeded for each, tried in tries.items() if tried.succeeded}
    failed = {each: tried.failed for each, tried in tries.items() if tried.failed}
    status = codes.run_summary(succeeded=len(succeeded), failed=len(failed))
    groups = [
        container(INFERRED_FROM, name, *_performed(names.performed, group))
        for name, group in ((names.successful, succeeded), (names.failed, failed))
        if group
    ]
    return code(CONTAINS, names.summary, status if groups else codes.NOT_ATTEMPTED, *groups)


def _performed(name: Code, group: Mapping[Algorithm, Iterable[int]]) -> Iterator[Dataset]:
    """TID 4017 or 4018 for each algorithm, with the images by reference."""
    for algorithm, image_numbers in group.items():
        images = [by_reference(PROPERTIES, image_identifier(number)) for number in image_numbers]
        children = [*algorithm.identification(), *images]
        yield code(CONTAINS, name, algorithm.performed, *children)


def _finding_code(kind: FindingKind) -> Code:
    return cad_codes.SINGLE_IMAGE_FINDING[kind]


def _spec(model: str) -> ModelSpec:
    try:
        return get_model(model).spec
    except UnknownModelError as error:
        raise EncodingError(f"the CAD report cannot say what {model} does: {error}") from error
