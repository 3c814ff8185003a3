"""Questions to an archive, and which of its answers count."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from node.errors import DestinationRefusedError, DestinationUnavailableError, NotFoundError
from node.priors.archive import (
    FoundSeries,
    Question,
    find_series,
    find_studies,
    move_series,
    study_query,
)
from node.priors.rules import PriorRule

RULE = PriorRule(
    name="x", source="ARCHIVE", modalities=("MG",), within_days=365, after_days=1, limit=2
)


def question(PatientID: str = "P-1", Issuer: str = "") -> Question:
    """A question about a study of 1 March 2026."""
    return Question("1.2.3", PatientID, Issuer, date(2026, 3, 1))


def answer(**values: Any) -> Dataset:
    """A match of `question()` with other values."""
    match = Dataset()
    values = {
        "PatientID": "P-1",
        "StudyDate": "20260101",
        "StudyTime": "",
        "ModalitiesInStudy": "MG",
        "StudyInstanceUID": "1.2.9",
    } | values
    for keyword, value in values.items():
        # As it comes from the wire: nothing is validated.
        representation = dictionary_VR(keyword)
        match[keyword] = DataElement(keyword, representation, value, validation_mode=IGNORE)
    return match


class Answering:
    """Stands for an association in the state after the question: it only holds the answers."""

    def __init__(self, *answers: Dataset, last: int | None = 0x0000, **counts: int) -> None:
        self._answers = [(_status(0xFF00), each) for each in answers]
        self._last = _status(last, **counts)

    def send_c_find(self, *_: Any) -> Iterator[tuple[Dataset, Dataset | None]]:
        """Yield the matches, then the last status."""
        yield from self._answers
        yield self._last, None

    send_c_move = send_c_find


def _status(code: int | None, **counts: int) -> Dataset:
    status = Dataset()
    if code is not None:
        status.Status = code
    for keyword, value in counts.items():
        setattr(status, keyword, value)
    return status


def found(*answers: Dataset, of: Question | None = None) -> list[str]:
    """The studies that are taken from these answers."""
    return find_studies(Answering(*answers), of or question(), RULE)  # type: ignore[arg-type]


def test_question_names_patient_days_and_modality() -> None:
    """PatientID and modality are matched, the days are a range around the study's date."""
    query = study_query(question(Issuer="CLINIC"), RULE, "MG")
    assert query.QueryRetrieveLevel == "STUDY"
    assert (query.PatientID, query.IssuerOfPatientID) == ("P-1", "CLINIC")
    assert query.StudyDate == "20250301-20260302"
    assert query.ModalitiesInStudy == "MG"
    assert "SpecificCharacterSet" not in query


def test_unknown_issuer_is_not_asked_for() -> None:
    """An empty key would be universal matching with an attribute that many archives lack."""
    assert "IssuerOfPatientID" not in study_query(question(), RULE, "MG")


def test_text_beyond_ascii_names_its_character_set() -> None:
    """A PatientID with an umlaut is sent in UTF-8."""
    query = study_query(question("PÄ-1"), RULE, "MG")
    assert query.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize("PatientID", ["", "  ", "*", "P?", "A\\B"])
def test_nobody_is_asked_for_without_an_exact_id(PatientID: str) -> None:
    """No id, or one that is a wildcard, would return the studies of other patients."""
    with pytest.raises(NotFoundError) as error:
        study_query(question(PatientID), RULE, "MG")
    assert PatientID.strip() == "" or PatientID not in str(error.value)


def test_range_stays_within_the_calendar() -> None:
    """A rule for all priors does not leave the years that a date has."""
    rule = RULE.model_copy(update={"within_days": 36500})
    early = Question("1.2.3", "P-1", "", date(50, 1, 1))
    assert study_query(early, rule, "MG").StudyDate.startswith("00010101-")


def test_newest_studies_come_first_and_no_more_than_wanted() -> None:
    """Date, then time; the study itself is left out."""
    matches = [
        answer(StudyInstanceUID="1.2.1", StudyDate="20250601"),
        answer(StudyInstanceUID="1.2.2", StudyDate="20260101", StudyTime="080000"),
        answer(StudyInstanceUID="1.2.3", StudyDate="20260301"),
        answer(StudyInstanceUID="1.2.4", StudyDate="20260101", StudyTime="090000"),
    ]
    assert found(*matches) == ["1.2.4", "1.2.2"]


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "P-10"},
        {"PatientID": "p-1"},
        {"PatientID": ""},
        {"IssuerOfPatientID": "ELSEWHERE"},
        {"StudyDate": "20200101"},
        {"ModalitiesInStudy": ["CT", "MR"]},
        {"StudyInstanceUID": "../../etc"},
    ],
)
def test_answers_about_something_else_do_not_count(other: dict[str, Any]) -> None:
    """An archive that ignores a key must not give us another patient's images."""
    assert found(answer(**other), of=question(Issuer="CLINIC")) == []


def test_answers_may_leave_out_what_is_optional() -> None:
    """ModalitiesInStudy, the issuer and the date need not be returned."""
    match = answer(StudyDate="", PatientID="P-1 ")
    del match.ModalitiesInStudy
    assert found(match, of=question(Issuer="CLINIC")) == ["1.2.9"]


def test_series_of_other_modalities_are_left_out() -> None:
    """Of a study with CT and MG the CT stays where it is; an uncounted series is told apart."""
    kept = answer(SeriesInstanceUID="1.5", Modality="MG", NumberOfSeriesRelatedInstances="4")
    bare = answer(SeriesInstanceUID="1.6", Modality="MG")
    other = answer(SeriesInstanceUID="1.7", Modality="CT")
    series = find_series(Answering(kept, bare, other), "1.2.9", RULE)  # type: ignore[arg-type]
    assert [(each.series_uid, each.instances) for each in series] == [("1.5", 4), ("1.6", None)]


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (None, DestinationUnavailableError),
        (0xA700, DestinationUnavailableError),
        (0xC000, DestinationUnavailableError),
        (0xFE00, DestinationUnavailableError),
        (0xA900, DestinationRefusedError),
        (0x0122, DestinationRefusedError),
    ],
)
def test_failed_questions_heal_or_not(last: int | None, error: type[Exception]) -> None:
    """What may heal is tried again; what the archive cannot do is not."""
    asked = Answering(last=last)
    with pytest.raises(error):
        find_studies(asked, question(), RULE)  # type: ignore[arg-type]
    with pytest.raises(error):
        move_series(asked, FoundSeries("1.2", "1.3", 1), "NODE")  # type: ignore[arg-type]


def test_flood_of_answers_is_cut() -> None:
    """An archive that ignores the matching keys does not fill the memory."""
    flood = [answer(StudyInstanceUID=f"1.2.{number}") for number in range(1001)]
    with pytest.raises(DestinationRefusedError, match="more than 1000"):
        found(*flood)


def test_unknown_move_destination_says_what_to_do() -> None:
    """0xA801 heals once somebody registers the node at the archive."""
    asked = Answering(last=0xA801)
    with pytest.raises(DestinationUnavailableError, match="NODE is registered there"):
        move_series(asked, FoundSeries("1.2", "1.3", 1), "NODE")  # type: ignore[arg-type]


def test_failed_suboperations_are_a_failure() -> None:
    """A success that left instances behind is tried again."""
    asked = Answering(NumberOfFailedSuboperations=2)
    with pytest.raises(DestinationUnavailableError, match="2 instances failed"):
        move_series(asked, FoundSeries("1.2", "1.3", 3), "NODE")  # type: ignore[arg-type]
