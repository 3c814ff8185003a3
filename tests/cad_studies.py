"""Studies of mammograms in every state that a CAD report has to tell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from models.contract import FindingKind
from models.registry import get_model
from tests.results import (
    CONTENT_AT,
    finding,
    header,
    outcome,
    tomosynthesis_header,
    ultrasound_header,
)
from workers.analyses import ImageAnalysis
from workers.cad_report import encode_cad_report
from workers.findings import Finding, RunOutcome

MASSES, CALCIFICATIONS, CLASSIFIER = "mask_rcnn_mg", "mtu_net", "resnet50"
_KINDS = {
    MASSES: (FindingKind.MASS,),
    CALCIFICATIONS: (FindingKind.CALCIFICATION_CLUSTER, FindingKind.ARTERIAL_CALCIFICATION),
}


def encoded(
    analyses: list[ImageAnalysis],
    *,
    revision: int = 1,
    content_at: datetime = CONTENT_AT,
    **changes: Any,
) -> Dataset:
    """The CAD report as it is read back from its file."""
    arguments: dict[str, Any] = {"predecessor": None} | changes
    report = encode_cad_report(analyses, revision=revision, content_at=content_at, **arguments)
    assert report is not None
    return pydicom.dcmread(BytesIO(part10(report)))


def part10(dataset: Dataset) -> bytes:
    """The file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def run(source: Dataset, model: str, **changes: Any) -> RunOutcome:
    """A run of today's version of a model, without findings unless `changes` say otherwise."""
    return outcome(source, model=model, model_version=get_model(model).spec.version, **changes)


def marked(source: Dataset, model: str, **changes: Any) -> RunOutcome:
    """A run that found one of each kind that the model knows."""
    findings = [
        _finding(source, model, kind, number, **changes)
        for number, kind in enumerate(_KINDS[model], start=1)
    ]
    return run(source, model, findings=tuple(findings))


def _finding(
    source: Dataset, model: str, kind: FindingKind, number: int, **changes: Any
) -> Finding:
    arguments: dict[str, Any] = {
        "kind": kind,
        "number": number,
        "score": 0.95,
        "offset_px": (20 + 60 * number, 30),
        "model": model,
        "model_version": get_model(model).spec.version,
        "source_sop_uid": str(source.SOPInstanceUID),
        "study_uid": str(source.StudyInstanceUID),
        "laterality": source.get("ImageLaterality"),
        "view": source.get("ViewPosition"),
    }
    return finding(**arguments | changes)


def classified(source: Dataset) -> RunOutcome:
    """A classifier's answer."""
    shares = {"normal": 0.7, "benign": 0.2, "malignant": 0.1}
    return run(source, CLASSIFIER, probabilities=shares)


def analysis(source: Dataset, *runs: RunOutcome) -> ImageAnalysis:
    return ImageAnalysis(source, "ImagerPixelSpacing", runs)


def _views(**changes: Any) -> list[Dataset]:
    """Two views of each breast, of one study, with what a good device writes."""
    first = header()
    return [
        header(
            StudyInstanceUID=first.StudyInstanceUID,
            SeriesInstanceUID=first.SeriesInstanceUID,
            ImageLaterality=side,
            ViewPosition=view,
            PatientOrientation=["A", "F"],
            ContentDate="20260101",
            ContentTime="120001.5",
            **changes,
        )
        for side in "LR"
        for view in ("CC", "MLO")
    ]


def _coded(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _with_findings() -> list[ImageAnalysis]:
    return [
        analysis(view, marked(view, MASSES), marked(view, CALCIFICATIONS), classified(view))
        for view in _views()
    ]


def _without_findings() -> list[ImageAnalysis]:
    return [
        analysis(view, run(view, MASSES), run(view, CALCIFICATIONS), classified(view))
        for view in _views()
    ]


def _one_model_failed() -> list[ImageAnalysis]:
    return [
        analysis(
            view,
            marked(view, MASSES),
            run(view, CALCIFICATIONS, error="Triton did not answer in time"),
            classified(view),
        )
        for view in _views()
    ]


def _failed_on_one_image() -> list[ImageAnalysis]:
    first, *others = _views()
    error = "the pixels cannot be read"
    broken = [run(first, model, error=error) for model in (MASSES, CALCIFICATIONS, CLASSIFIER)]
    return [
        analysis(first, *broken),
        *(
            analysis(view, run(view, MASSES), run(view, CALCIFICATIONS), classified(view))
            for view in others
        ),
    ]


def _all_failed() -> list[ImageAnalysis]:
    error = "the pixels cannot be read"
    return [
        analysis(
            view, *(run(view, model, error=error) for model in (MASSES, CALCIFICATIONS, CLASSIFIER))
        )
        for view in _views()
    ]


def _detectors_alone() -> list[ImageAnalysis]:
    return [analysis(view, marked(view, MASSES)) for view in _views()]


def _classifier_alone() -> list[ImageAnalysis]:
    return [analysis(view, classified(view)) for view in _views()]


def _bare_header() -> list[ImageAnalysis]:
    view = header(
        ImageLaterality=None,
        ViewPosition=None,
        ImagerPixelSpacing=None,
        StudyDate=None,
        StudyTime=None,
        PatientID=None,
    )
    return [analysis(view, marked(view, MASSES, spacing_mm=None, laterality=None, view=None))]


def _retired_codes() -> list[ImageAnalysis]:
    """View and modifiers in SNOMED RT, as devices of the last decades write them."""
    view = _coded("R-10242", "SRT", "cranio-caudal")
    view.ViewModifierCodeSequence = [
        _coded("R-102D1", "SRT", "Axillary Tail"),
        _coded("R-102D7", "SRT", "Spot Compression"),
    ]
    return [
        analysis(source, marked(source, MASSES))
        for source in (header(ViewCodeSequence=[view], ViewPosition=None),)
    ]


def _digitised_film() -> list[ImageAnalysis]:
    source = header(PixelSpacing=[0.05, 0.06], ImagerPixelSpacing=None)
    source.SOPClassUID, source.Modality = SecondaryCaptureImageStorage, "OT"
    return [analysis(source, marked(source, CALCIFICATIONS))]


def _tomosynthesis() -> list[ImageAnalysis]:
    source = tomosynthesis_header()
    return [ImageAnalysis(source, None, (marked(source, MASSES),), frame_number=3)]


def _with_ultrasound() -> list[ImageAnalysis]:
    mammogram = _views()[0]
    ultrasound = ultrasound_header()
    ultrasound.StudyInstanceUID = mammogram.StudyInstanceUID
    return [
        analysis(ultrasound, run(ultrasound, "mask_rcnn_us")),
        analysis(mammogram, marked(mammogram, MASSES)),
    ]


STUDIES: dict[str, Callable[[], list[ImageAnalysis]]] = {
    "with findings": _with_findings,
    "without findings": _without_findings,
    "one model failed": _one_model_failed,
    "failed on one image": _failed_on_one_image,
    "all failed": _all_failed,
    "detectors alone": _detectors_alone,
    "classifier alone": _classifier_alone,
    "bare header": _bare_header,
    "retired codes": _retired_codes,
    "digitised film": _digitised_film,
    "tomosynthesis": _tomosynthesis,
    "with ultrasound": _with_ultrasound,
}


@cache
def encoded_study(name: str) -> tuple[list[ImageAnalysis], Dataset]:
    """One of these studies and its report as read back; neither is to be changed."""
    analyses = STUDIES[name]()
    return analyses, encoded(analyses)
