"""One image of a study that nothing can be made of costs the others nothing."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.destinations import ResultKind, Variant
from tests.results import CONTENT_AT, findings_of, header, outcome
from workers.analyses import ImageAnalysis, StudyAnalysis
from workers.dicom.writing import part10
from workers.results import encode_study

IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def _readable() -> ImageAnalysis:
    source = header()
    runs = (outcome(source, findings=tuple(findings_of(source))),)
    return ImageAnalysis(source, None, runs)


def _bare(study_uid: str) -> ImageAnalysis:
    """An image whose header says what it is and nothing more, and which could not be read."""
    source = Dataset()
    for keyword in IDENTITY:
        setattr(source, keyword, header().get(keyword))
    source.SOPInstanceUID, source.StudyInstanceUID = "2.25.1", study_uid
    return ImageAnalysis(source, None, (outcome(source, error="Rows is missing"),))


def _results(kind: ResultKind, analyses: Sequence[ImageAnalysis]) -> list[Dataset]:
    study = StudyAnalysis(tuple(analyses), 1, CONTENT_AT)
    variant: Variant = "ohif" if kind in ("SEG", "SR") else ""
    return [
        pydicom.dcmread(BytesIO(part10(each.dataset)))
        for each in encode_study(study, [(kind, variant)])
    ]


@pytest.mark.parametrize("kind", ["SEG", "SR", "CADSR", "GSPS", "KOS"])
def test_every_other_object_is_written_for_its_patient(kind: ResultKind) -> None:
    """An image without a size cannot be written on, and one without a patient says not whose
    study it is, wherever it stands among the others."""
    good = _readable()
    bare = _bare(good.source.StudyInstanceUID)
    expected = len(_results(kind, [good]))
    assert expected > 0
    for analyses in ([good, bare], [bare, good]):
        results = _results(kind, analyses)
        assert len(results) == expected
        assert {result.PatientID for result in results} == {good.source.PatientID}
