"""A mammogram and an ultrasound of one patient, as values that the combined report is made of."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from models.registry import MODELS
from tests.results import CONTENT_AT, finding, header, outcome, ultrasound_header
from workers.analyses import ImageAnalysis, StudyAnalysis
from workers.combined import Partner, encode_combined

# What a source can say: changes of its model's run.
STATES: dict[str, dict[str, Any]] = {
    "positive": {"findings": (finding(),)},
    "negative": {},
    "failed": {"error": "Triton did not answer"},
}


def mammogram(laterality: str = "L", **changes: Any) -> ImageAnalysis:
    """A mammogram on which the detector ran."""
    return _analysis(header(ImageLaterality=laterality), "mask_rcnn_mg", changes)


def scan(laterality: str = "L", frames: int | None = None, **changes: Any) -> ImageAnalysis:
    """An ultrasound image of another study of the patient."""
    source = ultrasound_header(frames)
    source.StudyInstanceUID, source.SeriesInstanceUID = generate_uid(), generate_uid()
    source.ImageLaterality = laterality
    return _analysis(source, "mask_rcnn_us", changes)


def _analysis(source: Dataset, model: str, changes: dict[str, Any]) -> ImageAnalysis:
    values = {"model": model, "model_version": MODELS[model].spec.version} | changes
    return ImageAnalysis(source, None, (outcome(source, **values),), frame_number=1)


def combined(own: ImageAnalysis, *others: ImageAnalysis, **changes: Any) -> Dataset:
    """The report in the study of `own`; `others` are of the partner's study."""
    study = StudyAnalysis((own,), changes.pop("revision", 1), CONTENT_AT)
    return encode_combined(study, Partner(others, **changes))
