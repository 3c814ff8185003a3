"""SEG and SR, judged by dciodvfy (dicom3tools), dsrdump (DCMTK) and the pixelmed toolkit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Literal

import pytest
from pydicom.dataset import Dataset

from node.destinations import SegmentsPer
from tests.conformance.dicom_tools import dumped, errors_in, real_header
from tests.conformance.pixelmed import sr_problems
from tests.results import (
    CONTENT_AT,
    findings_of,
    header,
    in_a_quadrant,
    outcome,
    tomosynthesis_header,
    ultrasound_header,
)
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
PROFILES: tuple[Profile, ...] = ("ohif", "plain")
both_profiles = pytest.mark.parametrize("profile", PROFILES)


def _segmentation(
    source: Dataset,
    findings: list[Finding],
    profile: Profile,
    segments_per: SegmentsPer = "finding",
) -> Dataset:
    return encode_segmentation(
        source,
        findings,
        revision=1,
        content_at=CONTENT_AT,
        series_number=9100,
        profile=profile,
        frame_number=2 if "NumberOfFrames" in source else 1,
        segments_per=segments_per,
    )


def _report(
    source: Dataset,
    findings: list[Finding],
    profile: Profile,
    segments_per: SegmentsPer = "finding",
) -> Dataset:
    """Second revision: findings, probabilities, one failed model, a predecessor."""
    runs = (
        outcome(source, findings=tuple(findings)),
        outcome(source, model="resnet50", probabilities={"cancer": 0.25, "normal": 0.75}),
        outcome(source, model="mtu_net", error="Triton did not answer in time"),
    )
    frame_number = 2 if "NumberOfFrames" in source else 1
    analysis = ImageAnalysis(source, "ImagerPixelSpacing", runs, frame_number)
    first = encode_report(
        [analysis],
        revision=1,
        content_at=CONTENT_AT,
        segmentations={},
        predecessor=None,
        profile=profile,
    )
    segmentation = _segmentation(source, findings, profile, segments_per)
    return encode_report(
        [analysis],
        revision=2,
        content_at=CONTENT_AT,
        segmentations={str(source.SOPInstanceUID): segmentation},
        predecessor=first,
        profile=profile,
        segments_per=segments_per,
    )


def _empty_report(source: Dataset, profile: Profile) -> Dataset:
    return encode_report(
        [ImageAnalysis(source, None, (outcome(source),))],
        revision=1,
        content_at=CONTENT_AT,
        segmentations={},
        predecessor=None,
        profile=profile,
    )


@both_profiles
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(header(), id="mammogram"),
        pytest.param(header(PatientID=None, PatientName=None, StudyDate=None), id="bare"),
        pytest.param(header(ImageLaterality="R", PatientOrientation=["P", "L"]), id="oriented"),
        pytest.param(ultrasound_header(), id="ultrasound"),
        pytest.param(ultrasound_header(30), id="ultrasound loop"),
        pytest.param(tomosynthesis_header(), id="tomosynthesis"),
        pytest.param(header(AccessionNumber="A1"), id="ordered"),
    ],
)
def test_made_images_give_objects_without_errors(
    source: Dataset, profile: Profile, tmp_path: Path
) -> None:
    """dciodvfy prints no Error for SEG and SR; dsrdump reads the SR."""
    findings = findings_of(source)
    report = _report(source, findings, profile)
    assert errors_in(_segmentation(source, findings, profile), tmp_path) == []
    assert errors_in(report, tmp_path) == []
    assert "Triton did not answer in time" in dumped(report, tmp_path)


@both_profiles
def test_a_report_without_findings_has_no_errors(profile: Profile, tmp_path: Path) -> None:
    """Every image is still listed."""
    report = _empty_report(header(), profile)
    assert errors_in(report, tmp_path) == []
    assert "No findings on 1 image(s)." in dumped(report, tmp_path)


@pytest.mark.parametrize(
    "source",
    [header(), ultrasound_header(30), tomosynthesis_header()],
    ids=lambda each: each.SOPClassUID.name,
)
def test_segments_of_classes_have_no_errors(source: Dataset, tmp_path: Path) -> None:
    """One segment for all findings of a class: its SEG, and the SR that names its segments."""
    findings = [*findings_of(source), *findings_of(source, score=0.5, first_number=4)]
    assert errors_in(_segmentation(source, findings, "ohif", "class"), tmp_path) == []
    assert errors_in(_report(source, findings, "ohif", "class"), tmp_path) == []


def _reports_for_pixelmed(profile: Profile) -> dict[str, Dataset]:
    bare, quadrant = header(ImagerPixelSpacing=None), in_a_quadrant()
    return {
        "mammogram": _report(header(AccessionNumber="A1"), findings_of(header()), profile),
        "tomosynthesis": _report(tomosynthesis_header(), findings_of(header()), profile),
        "without spacing": _report(bare, findings_of(bare, spacing_mm=None), profile),
        "ultrasound of a quadrant": _report(quadrant, findings_of(quadrant), profile),
        "without findings": _empty_report(header(), profile),
        "wrong": _wrong_report(profile),
    }


def _wrong_report(profile: Profile) -> Dataset:
    """A number that is inferred from two things, against TID 320."""
    report = _report(header(), findings_of(header()), profile)
    (measurements,) = (
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
    )
    numbers = [
        item
        for item in measurements.ContentSequence[0].ContentSequence
        if item.ValueType == "NUM" and "ContentSequence" in item
    ]
    contour = next(
        item
        for item in measurements.ContentSequence[0].ContentSequence
        if item.ValueType == "SCOORD"
    )
    contour = copy.deepcopy(contour)
    contour.RelationshipType = "INFERRED FROM"
    numbers[-1].ContentSequence.append(contour)
    return report


@pytest.fixture(scope="module")
def pixelmed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What pixelmed says of every report, by name; the Java machine starts once."""
    folder = tmp_path_factory.mktemp("pixelmed")
    names = {}
    for profile in PROFILES:
        for name, report in _reports_for_pixelmed(profile).items():
            path = folder / f"{len(names)}.dcm"
            report.save_as(path, enforce_file_format=True)
            names[path] = f"{name}, {profile}"
    return {names[path]: problems for path, problems in sr_problems(list(names)).items()}


def test_pixelmed_finds_no_errors_in_any_report(pixelmed: dict[str, list[str]]) -> None:
    """Root template 1500 with all it includes."""
    found = {name: problems for name, problems in pixelmed.items() if not name.startswith("wrong")}
    assert not any(found.values()), found
    assert len(found) == 10


def test_pixelmed_notices_a_number_inferred_from_two_things(
    pixelmed: dict[str, list[str]],
) -> None:
    """A report that breaks TID 320 does not pass."""
    for profile in PROFILES:
        assert any("Template 320" in problem for problem in pixelmed[f"wrong, {profile}"])


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
    source = real_header(path)
    findings = findings_of(source)
    report = _report(source, findings, profile)
    assert errors_in(_segmentation(source, findings, profile), folder) == []
    assert errors_in(report, folder) == []
    assert "Imaging Measurement Report" in dumped(report, folder)
