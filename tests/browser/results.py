"""A phantom mammogram and the real result objects of its true lesion, in a real archive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from models.contract import FindingKind, Region
from phantoms.mammogram import mammogram as draw
from phantoms.truth import LesionRequest
from tests import datasets
from tests.peers.orthanc import Orthanc
from workers.analyses import ImageAnalysis
from workers.dicom.writing import part10
from workers.findings import Finding, RunOutcome, measure
from workers.report import encode_report
from workers.segmentation import encode_segmentation

CONTENT_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_MODEL, _VERSION = "mask_rcnn_mg", "1.0"
_SEED = 5
_MASS = LesionRequest("mass", margin="circumscribed", size_mm=22.0, conspicuity=0.8, height=-0.3)


@dataclass(frozen=True)
class Case:
    """One image with one mass. `mask`: bool (rows, columns), the truth."""

    source: FileDataset
    mask: NDArray[np.bool_]
    spacing_mm: tuple[float, float]

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return str(self.source.StudyInstanceUID)


def draw_case() -> Case:
    """A left CC phantom with one obvious mass, in a study of its own."""
    phantom = draw(_SEED, "L", "CC", lesions=[_MASS])
    dataset = datasets.mammogram()
    datasets.add_pixels(dataset, (phantom.pixels * 4095).astype(np.uint16))
    dataset.ImagerPixelSpacing = [round(value, 4) for value in phantom.pixel_spacing_mm]
    dataset.PatientOrientation = ["A", "FR"]
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    lesion = phantom.lesions[0]
    mask = np.zeros(phantom.pixels.shape, np.bool_)
    (row, column), (height, width) = lesion.offset_px, lesion.mask.shape
    mask[row : row + height, column : column + width] = lesion.mask
    return Case(dataset, mask, phantom.pixel_spacing_mm)


def finding(case: Case, mask: NDArray[np.bool_]) -> Finding:
    """The finding that a model with exactly this mask would report."""
    return measure(
        Region(FindingKind.MASS, 0.97, mask, (0, 0)),
        model=_MODEL,
        model_version=_VERSION,
        source_sop_uid=str(case.source.SOPInstanceUID),
        study_uid=case.study_uid,
        revision=1,
        number=1,
        laterality="L",
        view="CC",
        spacing_mm=case.spacing_mm,
    )


def segmentation(case: Case, mask: NDArray[np.bool_]) -> Dataset:
    """The SEG of this mask."""
    return encode_segmentation(
        case.source,
        [finding(case, mask)],
        revision=1,
        content_at=CONTENT_AT,
        series_number=9001,
        profile="ohif",
    )


def report(case: Case, mask: NDArray[np.bool_], segmented: Dataset) -> Dataset:
    """The SR of this mask."""
    found = finding(case, mask)
    run = RunOutcome(_MODEL, _VERSION, found.source_sop_uid, None, 1.0, (found,), {})
    return encode_report(
        [ImageAnalysis(case.source, "ImagerPixelSpacing", (run,))],
        revision=1,
        content_at=CONTENT_AT,
        segmentations={found.source_sop_uid: segmented},
        predecessor=None,
        profile="ohif",
    )


def upload(orthanc: Orthanc, *objects: Dataset) -> None:
    """Store objects in the archive."""
    upload_files(orthanc, *map(part10, objects))


def upload_files(orthanc: Orthanc, *files: bytes) -> None:
    """Store Part 10 files in the archive."""
    for content in files:
        answer = httpx.post(
            f"{orthanc.url}/instances", content=content, timeout=60, trust_env=False
        )
        answer.raise_for_status()
