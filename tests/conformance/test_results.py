"""Every kind of result object, judged by dciodvfy (dicom3tools) and dsrdump (DCMTK)."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Literal

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.results import CONTENT_AT, findings_of, header, outcome, ultrasound_header
from workers.analyses import ImageAnalysis
from workers.findings import Finding
from workers.report import encode_report
from workers.segmentation import encode_segmentation

Profile = Literal["ohif", "plain"]

REAL_MAMMOGRAMS = (
    "DICOMSamples__MG_Explicit_Little.dcm",
    "dicom-test-files__MG1_J2KI.dcm",
    "dicom-test-files__MG1_JPLY.dcm",
    "fo-dicom__GH133.dcm",
)
REAL_ULTRASOUND = (
    "orthanc-mirrors_orthanc-tests__1.2.840.10008.1.2.4.50.dcm",
    "dcm4che_dcm4che__YBR_FULL-RLE.dcm",
    "pydicom_pydicom__JPGLosslessP14SV1_1s_1f_8b.dcm",
)
both_profiles = pytest.mark.parametrize("profile", ["ohif", "plain"])


def _segmentation(source: Dataset, findings: list[Finding], profile: Profile) -> Dataset:
    return encode_segmentation(
        source,
        findings,
        revision=1,
        content_at=CONTENT_AT,
        series_number=9100,
        profile=profile,
    )


def _report(source: Dataset, findings: list[Finding], profile: Profile) -> Dataset:
    """Second revision: findings, probabilities, one failed model, a predecessor."""
    runs = (
        outcome(source, findings=tuple(findings)),
        outcome(source, model="resnet50", probabilities={"cancer": 0.25, "normal": 0.75}),
        outcome(source, model="mtu_net", error="Triton did not answer in time"),
    )
    analysis = ImageAnalysis(source, "ImagerPixelSpacing", runs)
    first = encode_report(
        [analysis],
        revision=1,
        content_at=CONTENT_AT,
        segmentations={},
        predecessor=None,
        profile=profile,
    )
    return encode_report(
        [analysis],
        revision=2,
        content_at=CONTENT_AT,
        segmentations={str(source.SOPInstanceUID): _segmentation(source, findings, profile)},
        predecessor=first,
        profile=profile,
    )


def _errors(dataset: Dataset, folder: Path) -> list[str]:
    """The lines that dciodvfy calls errors."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("no dciodvfy: install dicom3tools")
    path = folder / "result.dcm"
    dataset.save_as(path, enforce_file_format=True)
    done = subprocess.run([program, path], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, "dciodvfy said nothing"
    return [line for line in lines if "Error" in line]


def _dumped(dataset: Dataset, folder: Path) -> str:
    """What dsrdump reads in a report; it refuses a content tree that breaks the IOD."""
    program = shutil.which("dsrdump")
    if program is None:
        pytest.skip("no dsrdump: install dcmtk")
    path = folder / "report.dcm"
    dataset.save_as(path, enforce_file_format=True)
    done = subprocess.run([program, "+Pl", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "E:" not in done.stderr
    return done.stdout


def _real_header(path: Path) -> Dataset:
    if not path.is_file():
        pytest.skip(f"no {path.name} among the real data")
    with warnings.catch_warnings():
        # Real headers break length rules; reading them anyway is the point.
        warnings.simplefilter("ignore")
        source = pydicom.dcmread(path, stop_before_pixels=True)
        # Values are converted at first access: do it here, once.
        list(source.iterall())
    return source


@both_profiles
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(header(), id="mammogram"),
        pytest.param(header(PatientID=None, PatientName=None, StudyDate=None), id="bare"),
        pytest.param(header(ImageLaterality="R", PatientOrientation=["P", "L"]), id="oriented"),
        pytest.param(ultrasound_header(), id="ultrasound"),
        pytest.param(ultrasound_header(30), id="ultrasound loop"),
    ],
)
def test_made_images_give_objects_without_errors(
    source: Dataset, profile: Profile, tmp_path: Path
) -> None:
    """dciodvfy prints no Error for SEG and SR; dsrdump reads the SR."""
    findings = findings_of(source)
    report = _report(source, findings, profile)
    assert _errors(_segmentation(source, findings, profile), tmp_path) == []
    assert _errors(report, tmp_path) == []
    assert "Triton did not answer in time" in _dumped(report, tmp_path)


@both_profiles
def test_a_report_without_findings_has_no_errors(profile: Profile, tmp_path: Path) -> None:
    """Every image is still listed."""
    source = header()
    report = encode_report(
        [ImageAnalysis(source, None, (outcome(source),))],
        revision=1,
        content_at=CONTENT_AT,
        segmentations={},
        predecessor=None,
        profile=profile,
    )
    assert _errors(report, tmp_path) == []
    assert "No findings on 1 image(s)." in _dumped(report, tmp_path)


@both_profiles
@pytest.mark.parametrize("name", [f"dicom_mg/{name}" for name in REAL_MAMMOGRAMS])
def test_real_mammograms_give_objects_without_errors(
    name: str, profile: Profile, real_data: Path, tmp_path: Path
) -> None:
    """Headers of real devices, film scanners among them, with what they lack."""
    _check_real(real_data / name, profile, tmp_path)


@both_profiles
@pytest.mark.parametrize("name", [f"dicom_odd/{name}" for name in REAL_ULTRASOUND])
def test_real_ultrasound_gives_objects_without_errors(
    name: str, profile: Profile, real_data: Path, tmp_path: Path
) -> None:
    """Headers of real single-frame ultrasound; the anatomy does not matter here."""
    _check_real(real_data / name, profile, tmp_path)


def _check_real(path: Path, profile: Profile, folder: Path) -> None:
    source = _real_header(path)
    findings = findings_of(source)
    report = _report(source, findings, profile)
    assert _errors(_segmentation(source, findings, profile), folder) == []
    assert _errors(report, folder) == []
    assert "Imaging Measurement Report" in _dumped(report, folder)
