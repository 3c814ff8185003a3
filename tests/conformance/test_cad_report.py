"""Mammography CAD SR, judged by dciodvfy, dsrdump (DCMTK) and the pixelmed toolkit."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.cad_studies import (
    CALCIFICATIONS,
    CLASSIFIER,
    MASSES,
    STUDIES,
    analysis,
    encoded,
    encoded_study,
    marked,
    part10,
    run,
)
from tests.conformance.dicom_tools import dciodvfy_errors, dsrdump, real_header
from tests.conformance.pixelmed import sr_problems
from workers.analyses import ImageAnalysis

REAL_MAMMOGRAMS = (
    "DICOMSamples__MG_Explicit_Little.dcm",
    "dicom-test-files__MG1_J2KI.dcm",
    "dicom-test-files__MG1_JPLY.dcm",
    "fo-dicom__GH133.dcm",
)


def _written(analyses: list[ImageAnalysis], folder: Path) -> Path:
    """The second revision's file, which names a predecessor."""
    path = folder / "cad.dcm"
    predecessor = encoded_study("bare header")[1]
    path.write_bytes(part10(encoded(analyses, revision=2, predecessor=predecessor)))
    return path


def _status(report: Dataset, name: str) -> str:
    """The value of the root's child with that concept name."""
    return next(
        str(item.ConceptCodeSequence[0].CodeValue)
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == name
    )


@pytest.mark.parametrize("name", STUDIES)
def test_every_state_gives_an_object_without_errors(name: str, tmp_path: Path) -> None:
    """Modules for dciodvfy, the relationships of PS3.3 A.35.5 for dsrdump."""
    path = _written(encoded_study(name)[0], tmp_path)
    assert dciodvfy_errors(path) == []
    assert "Mammography CAD SR Document" in dsrdump(path)


@pytest.mark.parametrize("name", REAL_MAMMOGRAMS)
def test_real_mammograms_give_objects_without_errors(
    name: str, real_data: Path, tmp_path: Path
) -> None:
    """Headers of real devices, film scanners among them, with what they lack."""
    source = real_header(real_data / "dicom_mg" / name)
    runs = (marked(source, MASSES), marked(source, CALCIFICATIONS), run(source, CLASSIFIER))
    path = _written([analysis(source, *runs)], tmp_path)
    assert dciodvfy_errors(path) == []
    assert "Mammography CAD Report" in dsrdump(path)


def test_the_templates_hold_for_the_pixelmed_validator(tmp_path: Path) -> None:
    """TID 4000 and below as another implementation has them: no error in any state."""
    paths = {}
    for name in STUDIES:
        folder = tmp_path / name.replace(" ", "_")
        folder.mkdir()
        paths[_written(encoded_study(name)[0], folder)] = name
    for path, problems in sr_problems(list(paths)).items():
        report = pydicom.dcmread(path)
        if _status(report, "111064") != _status(report, "111065"):
            # It looks for the status of TID 4015 and 4016 in both summaries at once: what one
            # says, it demands of the other.
            problems = [line for line in problems if not _is_of_the_other_summary(line)]
        assert problems == [], paths[path]


def _is_of_the_other_summary(line: str) -> bool:
    return line.endswith("conditional content item") and any(
        f"Template {template}MammoParameters" in line for template in ("4015", "4016")
    )
