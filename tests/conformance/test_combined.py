"""The combined report, judged by dciodvfy, dsrdump (DCMTK) and the pixelmed toolkit."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.combined_studies import STATES, combined, mammogram, scan
from tests.conformance.dicom_tools import dciodvfy_errors, dsrdump, real_header
from tests.conformance.pixelmed import sr_problems
from tests.results import CONTENT_AT, outcome
from workers.analyses import ImageAnalysis, StudyAnalysis
from workers.combined import Partner, encode_combined
from workers.dicom.writing import part10

REAL = {
    "MG": "dicom_mg/DICOMSamples__MG_Explicit_Little.dcm",
    "US": "dicom_odd/dcm4che_dcm4che__YBR_FULL-RLE.dcm",
}


def _written(report: Dataset, path: Path) -> Path:
    path.write_bytes(part10(report))
    return path


def _report(mammogram_says: str, ultrasound_says: str, frames: int | None = None) -> Dataset:
    """A second revision, with a predecessor in the other study."""
    own = mammogram(**STATES[mammogram_says])
    other = scan(frames=frames, **STATES[ultrasound_says])
    first = encode_combined(StudyAnalysis((other,), 1, CONTENT_AT), Partner((own,)))
    return combined(own, other, revision=2, predecessor=first)


@pytest.mark.parametrize(("mammogram_says", "ultrasound_says"), list(product(STATES, STATES)))
def test_every_state_gives_an_object_without_errors(
    mammogram_says: str, ultrasound_says: str, tmp_path: Path
) -> None:
    """Modules for dciodvfy; value types and relationships of PS3.3 A.35.3 for dsrdump."""
    path = _written(_report(mammogram_says, ultrasound_says), tmp_path / "combined.dcm")
    assert dciodvfy_errors(path) == []
    told = dsrdump(path)
    assert "Assessment by mammogram or ultrasound" in told
    assert ("FAILED" in told) == ("failed" in (mammogram_says, ultrasound_says))


def test_the_template_holds(tmp_path: Path) -> None:
    """TID 1500 and what it includes, by pixelmed's rules: a loop, a failure, one study alone."""
    own, other = mammogram(**STATES["positive"]), scan(**STATES["negative"])
    other.source.StudyInstanceUID = own.source.StudyInstanceUID
    reports = {
        "loop": _report("positive", "positive", frames=30),
        "failed": _report("failed", "negative"),
        "one study": encode_combined(StudyAnalysis((own, other), 1, CONTENT_AT), Partner()),
    }
    paths = [_written(report, tmp_path / f"{name}.dcm") for name, report in reports.items()]
    assert sr_problems(paths) == {path: [] for path in paths}


def test_headers_of_real_devices(real_data: Path, tmp_path: Path) -> None:
    """A real mammogram beside a real ultrasound image, with what their headers lack."""
    sources = {modality: real_header(real_data / name) for modality, name in REAL.items()}
    own, other = (
        ImageAnalysis(source, None, (outcome(source, model=model),))
        for source, model in zip(sources.values(), ("mask_rcnn_mg", "mask_rcnn_us"), strict=True)
    )
    report = combined(own, other)
    path = _written(report, tmp_path / "real.dcm")
    assert dciodvfy_errors(path) == []
    assert "Imaging Measurement Report" in dsrdump(path)
