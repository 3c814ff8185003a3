"""Made findings and analyses that the tests of result objects encode."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from models.contract import FindingKind, Region
from tests.datasets import mammogram
from workers.analyses import ImageAnalysis
from workers.dicom.outline_shutter import outline_bits
from workers.dicom.writing import part10
from workers.findings import Finding, RunOutcome, measure
from workers.presentation import encode_presentation

CONTENT_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MODEL, MODEL_VERSION = "mask_rcnn_mg", "1.0.0"


def header(**changes: Any) -> Dataset:
    """The header of a 400 x 300 mammogram, without pixels; `None` removes an attribute."""
    dataset = Dataset()
    dataset.update(mammogram(size_px=(400, 300)))
    del dataset.PixelData
    for keyword, value in changes.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return dataset


def ultrasound_header(number_of_frames: int | None = None) -> Dataset:
    """The header of a 400 x 300 ultrasound image, or of a loop of frames."""
    dataset = header(ImagerPixelSpacing=None, ViewPosition=None, PresentationIntentType=None)
    dataset.Modality = "US"
    dataset.SOPInstanceUID = generate_uid()
    dataset.SOPClassUID = UltrasoundImageStorage
    if number_of_frames is not None:
        dataset.SOPClassUID = UltrasoundMultiFrameImageStorage
        dataset.NumberOfFrames = number_of_frames
    return dataset


def tomosynthesis_header(number_of_frames: int = 5) -> Dataset:
    """The header of slices 1 mm apart; the shared groups hold what all frames share."""
    dataset = header(ImagerPixelSpacing=None, SOPClassUID=BreastTomosynthesisImageStorage)
    dataset.SOPInstanceUID = generate_uid()
    dataset.NumberOfFrames = number_of_frames
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.PositionReferenceIndicator = None
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[0.1, 0.1], SliceThickness=1)]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        _item(PlanePositionSequence=[_item(ImagePositionPatient=[float(number), -20, 35.5])])
        for number in range(number_of_frames)
    ]
    return dataset


def in_a_quadrant() -> Dataset:
    """The header of an ultrasound image that says which quadrant it shows."""
    dataset = ultrasound_header()
    quadrant = _item(CodeValue="76365002", CodingSchemeDesignator="SCT")
    quadrant.CodeMeaning = "Upper outer quadrant of breast"
    dataset.AnatomicRegionSequence = [quadrant]
    return dataset


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def disc(diameter_px: int) -> NDArray[np.bool_]:
    """A filled circle in its bounding square."""
    centre = (diameter_px - 1) / 2
    rows, columns = np.mgrid[:diameter_px, :diameter_px]
    inside: NDArray[np.bool_] = np.hypot(rows - centre, columns - centre) <= diameter_px / 2
    return inside


def finding(
    mask: NDArray[np.bool_] | None = None,
    offset_px: tuple[int, int] = (50, 40),
    **changes: Any,
) -> Finding:
    """One measured mass in the left CC view, 0.1 mm pixels."""
    kind = changes.pop("kind", FindingKind.MASS)
    score = changes.pop("score", 0.87)
    arguments: dict[str, Any] = {
        "model": MODEL,
        "model_version": MODEL_VERSION,
        "source_sop_uid": "1.2.3.4",
        "study_uid": "1.2.3",
        "revision": 1,
        "number": 1,
        "laterality": "L",
        "view": "CC",
        "spacing_mm": (0.1, 0.1),
    }
    region = Region(kind, score, disc(40) if mask is None else mask, offset_px)
    return measure(region, **arguments | changes)


def findings_of(
    source: Dataset, *, overlapping: bool = False, first_number: int = 1, **changes: Any
) -> list[Finding]:
    """One finding of every kind on `source`."""
    step = 5 if overlapping else 60
    return [
        finding(
            offset_px=(20 + step * index, 30),
            kind=kind,
            number=first_number + index,
            source_sop_uid=str(source.SOPInstanceUID),
            study_uid=str(source.StudyInstanceUID),
            **changes,
        )
        for index, kind in enumerate(FindingKind)
    ]


def outcome(source: Dataset, **changes: Any) -> RunOutcome:
    """A run of the detector on `source` that found nothing, unless `changes` say otherwise."""
    values: dict[str, Any] = {
        "model": MODEL,
        "model_version": MODEL_VERSION,
        "source_sop_uid": str(source.SOPInstanceUID),
        "error": None,
        "seconds": 1.0,
        "findings": (),
        "probabilities": {},
    }
    return RunOutcome(**values | changes)


def shuttered_state(source: Dataset) -> tuple[FileDataset, NDArray[np.bool_]]:
    """A presentation state as written, with outlines as a shutter; where those are on `source`."""
    findings = findings_of(source)
    state = encode_presentation(
        ImageAnalysis(source, None, (outcome(source, findings=tuple(findings)),)),
        revision=1,
        content_at=CONTENT_AT,
        instance_number=1,
        shuttered=True,
    )
    bits = outline_bits((source.Rows, source.Columns), findings)
    return pydicom.dcmread(BytesIO(part10(state))), bits.astype(np.bool_)


def referenced(document: Dataset, keyword: str) -> dict[str, set[str]]:
    """SOP Instance UIDs by Study Instance UID of a hierarchical reference (PS3.3 table 10-3b)."""
    return {
        str(study.StudyInstanceUID): {
            str(reference.ReferencedSOPInstanceUID)
            for series in study.ReferencedSeriesSequence
            for reference in series.ReferencedSOPSequence
        }
        for study in document.get(keyword, ())
    }


def evidence(document: Dataset) -> set[str]:
    """SOP Instance UIDs of everything that a document was made from."""
    studies = referenced(document, "CurrentRequestedProcedureEvidenceSequence")
    return set[str]().union(*studies.values())
