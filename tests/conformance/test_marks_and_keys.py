"""GSPS, SC and KOS of every kind of image, judged by dciodvfy and dsrdump."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from models.contract import BreastImage
from tests.conformance.dicom_tools import dumped, errors_in, real_header
from tests.conformance.test_results import REAL_MAMMOGRAMS, REAL_ULTRASOUND
from tests.results import CONTENT_AT, findings_of, header, outcome, ultrasound_header
from workers.analyses import ImageAnalysis, StudyAnalysis
from workers.images import SourceImage
from workers.key_objects import encode_key_objects, encode_rejection_note
from workers.presentation import encode_presentations
from workers.secondary_capture import encode_secondary_captures

SHUTTER = {
    "ShutterShape": ["RECTANGULAR", "CIRCULAR", "POLYGONAL"],
    "ShutterLeftVerticalEdge": 11,
    "ShutterRightVerticalEdge": 290,
    "ShutterUpperHorizontalEdge": 21,
    "ShutterLowerHorizontalEdge": 380,
    "CenterOfCircularShutter": [200, 150],
    "RadiusOfCircularShutter": 190,
    "VerticesOfThePolygonalShutter": [1, 1, 1, 300, 400, 150],
}


def _study(source: Dataset, frame_number: int = 1) -> StudyAnalysis:
    """One image with a finding of every kind and a failed model, and its pixels."""
    runs = (
        outcome(source, findings=tuple(findings_of(source))),
        outcome(source, model="mtu_net", error="Triton did not answer in time"),
    )

    def read() -> SourceImage:
        pixels = np.full((400, 300), 0.4, np.float32)
        return SourceImage(source, BreastImage(pixels, "MG"), None, frame_number)

    analysis = ImageAnalysis(source, None, runs, frame_number, read)
    return StudyAnalysis((analysis,), 1, CONTENT_AT)


def _objects(study: StudyAnalysis) -> Iterator[Dataset]:
    """Presentation states, with and without a shutter, and captures, as encoded."""
    states = (*encode_presentations(study), *encode_presentations(study, "shutter"))
    for result in (*states, *encode_secondary_captures(study)):
        yield result.dataset


def _documents(study: StudyAnalysis) -> list[Dataset]:
    selection = encode_key_objects(study.analyses, revision=1, content_at=CONTENT_AT)
    superseded = [*_objects(study), selection]
    return [selection, encode_rejection_note(superseded, revision=2, content_at=CONTENT_AT)]


def _check(study: StudyAnalysis, folder: Path) -> None:
    kinds = set()
    for dataset in _objects(study):
        assert errors_in(dataset, folder) == [], dataset.SOPClassUID.name
        kinds.add(dataset.Modality)
    assert kinds == {"PR", "OT"}
    for document in _documents(study):
        assert errors_in(document, folder) == []
        assert str(document.ConceptNameCodeSequence[0].CodeMeaning) in dumped(document, folder)


def _colour_ultrasound(**changes: Any) -> Dataset:
    source = ultrasound_header()
    for keyword, value in changes.items():
        setattr(source, keyword, value)
    source.SamplesPerPixel, source.PhotometricInterpretation = 3, "RGB"
    return source


@pytest.mark.parametrize(
    ("source", "frame_number"),
    [
        pytest.param(header(), 1, id="mammogram"),
        pytest.param(header(PatientID=None, PatientName=None, StudyDate=None), 1, id="bare"),
        pytest.param(
            header(ImageLaterality="R", PatientOrientation=["P", "L"]), 1, id="flipped orientation"
        ),
        pytest.param(
            header(
                PhotometricInterpretation="MONOCHROME1",
                PresentationLUTShape="INVERSE",
                WindowCenter=[2000, 1000],
                WindowWidth=[4000, 100],
                RescaleSlope=1,
                RescaleIntercept=0,
                RescaleType="US",
            ),
            1,
            id="MONOCHROME1",
        ),
        pytest.param(header(**SHUTTER), 1, id="shutter of its own"),
        pytest.param(ultrasound_header(), 1, id="ultrasound"),
        pytest.param(_colour_ultrasound(**SHUTTER), 1, id="colour with a shutter of its own"),
        pytest.param(_colour_ultrasound(), 1, id="colour ultrasound"),
        pytest.param(ultrasound_header(30), 15, id="ultrasound loop"),
    ],
)
def test_made_images_give_objects_without_errors(
    source: Dataset, frame_number: int, tmp_path: Path
) -> None:
    """dciodvfy prints no Error for any of them; dsrdump reads both KOS."""
    _check(_study(source, frame_number), tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *(f"dicom_mg/{name}" for name in REAL_MAMMOGRAMS),
        *(f"dicom_odd/{name}" for name in REAL_ULTRASOUND),
    ],
)
def test_real_headers_give_objects_without_errors(
    name: str, real_data: Path, tmp_path: Path
) -> None:
    """Headers of real devices, film scanners among them, with what they lack."""
    _check(_study(real_header(real_data / name)), tmp_path)


def test_a_summary_of_nothing_found_has_no_errors(tmp_path: Path) -> None:
    """The one object that a study without findings gets."""
    source = header()
    study = StudyAnalysis((ImageAnalysis(source, None, (outcome(source),)),), 1, CONTENT_AT)
    [result] = encode_secondary_captures(study)
    assert errors_in(result.dataset, tmp_path) == []
