"""Every kind of synthetic object against dciodvfy, the validator of dicom3tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from phantoms.study import VIEW_NAMES, StudyOptions, write_study
from tests.conformance.dicom_tools import dciodvfy


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("phantoms")
    write_study(directory / "study", 29, StudyOptions(VIEW_NAMES, 512))
    write_study(
        directory / "monochrome1", 30, StudyOptions(("LCC",), 512, False, "MONOCHROME1", "SIGMOID")
    )
    write_study(directory / "full-size", 31, StudyOptions(("RMLO",), 3328))
    return directory


@pytest.mark.parametrize(
    "name",
    [
        *(
            f"study/MG-{view}-{intent}.dcm"
            for view in ("LCC", "RCC", "LMLO", "RMLO")
            for intent in ("presentation", "processing")
        ),
        "study/US-L.dcm",
        "study/US-R.dcm",
        "monochrome1/MG-LCC-presentation.dcm",
        "full-size/MG-RMLO-presentation.dcm",
        "full-size/MG-RMLO-processing.dcm",
    ],
)
def test_object_has_no_error_and_no_warning(objects: Path, name: str) -> None:
    """The validator recognises the IOD and finds nothing to say about it."""
    said = dciodvfy(objects / name)
    assert [line for line in said if "Error" in line or "Warning" in line] == []
    assert said[0] in {
        "MammographyImageForPresentation",
        "MammographyImageForProcessing",
        "USImage",
    }
