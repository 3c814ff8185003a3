"""One image of a study that nothing can be made of costs the others nothing."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.destinations import ResultKind, Variant
from node.errors import EncodingError
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


def _image_of(study_uid: str, **person: str) -> ImageAnalysis:
    source = header(StudyInstanceUID=study_uid, **person)
    return ImageAnalysis(source, None, (outcome(source),))


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"PatientID": "B", "PatientBirthDate": "19700101"}, "Birth Date"),
        ({"PatientID": "", "PatientBirthDate": "19700101"}, "Birth Date"),
        ({"PatientID": "B", "PatientBirthDate": "19600101", "PatientSex": "M"}, "Sex"),
        ({"PatientID": "B", "PatientBirthDate": "", "PatientName": "ROE^JANE"}, "Name"),
    ],
)
@pytest.mark.parametrize("kind", ["SEG", "SR", "CADSR", "SC"])
def test_no_result_is_made_of_two_persons_images(
    kind: ResultKind, other: dict[str, str], difference: str
) -> None:
    """A Study Instance UID that was used twice: whose findings these are cannot be told."""
    person = {"PatientID": "A", "PatientName": "DOE^ANN", "PatientSex": "F"}
    one = _image_of("2.25.7", PatientBirthDate="19600101", **person)
    with pytest.raises(EncodingError, match=f"different persons .*{difference}") as error:
        _results(kind, [one, _image_of("2.25.7", **(person | other))])
    assert not any(value in str(error.value) for value in ("DOE", "ROE", "1960", "1970"))


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "B", "PatientName": "DOE^ANNE"},
        {"PatientBirthDate": "19600110", "PatientName": "ROE^ANN"},
        {"PatientID": "", "PatientBirthDate": "", "PatientName": "", "PatientSex": ""},
        {"PatientID": "B", "PatientBirthDate": "", "PatientName": "Doe^Ann^^"},
    ],
)
def test_what_was_corrected_between_two_images_costs_nothing(other: dict[str, str]) -> None:
    """A new Patient ID of the same person, or another spelling under the same one."""
    person = {
        "PatientID": "A",
        "PatientName": "DOE^ANN",
        "PatientBirthDate": "19600101",
        "PatientSex": "F",
    }
    images = [_image_of("2.25.7", **person), _image_of("2.25.7", **(person | other))]
    (report,) = _results("SR", images)
    assert report.PatientID == "A" or other.get("PatientID")


@pytest.mark.parametrize("kind", ["SR", "CADSR", "SC"])
def test_one_image_without_its_order_takes_none_from_the_report(kind: ResultKind) -> None:
    """As the first image of an examination may come, before the worklist answered."""
    known = {"PatientID": "A", "AccessionNumber": "ORDER-1", "StudyDate": "20260101"}
    images = [_image_of("2.25.7", **known), _image_of("2.25.7", PatientID="A", StudyDate="")]
    for analyses in (images, images[::-1]):
        results = _results(kind, analyses)
        assert {(each.AccessionNumber, each.StudyDate) for each in results} == {
            ("ORDER-1", "20260101")
        }
