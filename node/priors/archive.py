"""What the source is asked: C-FIND for studies and series (PS3.4 C.4), then C-MOVE or C-GET.

In: the patient, the study's date and the rule. Out: studies, newest first, and their series. What
must hold: only answers about the same patient count, whatever the archive makes of the question; a
patient without an id is never asked for. Texts of errors hold no patient data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.association import Association

from node.calling import answer_text
from node.errors import DestinationRefusedError, DestinationUnavailableError, NotFoundError
from node.identifiers import is_uid
from node.priors.rules import PriorRule

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"

# More studies of one patient than anybody has: the archive ignores the matching keys.
_MOST_ANSWERS = 1000
_PENDING = (0xFF00, 0xFF01)
_MOVE_DESTINATION_UNKNOWN = 0xA801
# The first of a range; Orthanc answers it for an unknown destination, and for one out of reach.
_UNABLE_TO_PROCESS = 0xC000
# PS3.4 table C.4-2: one or more sub-operations failed or had a warning, as ours has for an object
# that is kept apart from another of its UID.
_WITH_WARNINGS = 0xB000
# PS3.4 tables C.4-1 to C.4-3, PS3.7 annex C: the question itself is wrong for this archive.
_REFUSED = (0xA900, 0x0122, 0x0112)


@dataclass(frozen=True, slots=True)
class Question:
    """Whose priors, and seen from which day."""

    study_uid: str
    PatientID: str
    IssuerOfPatientID: str
    study_date: date


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """One series of a prior; `instances` is what the archive counts, None where it does not."""

    study_uid: str
    series_uid: str
    instances: int | None


def study_query(question: Question, rule: PriorRule, modality: str) -> Dataset:
    """The STUDY level identifier. Raises NotFoundError where the patient cannot be named."""
    patient_id = question.PatientID.strip()
    if not patient_id:
        raise NotFoundError("the study has no PatientID, so nothing was asked")
    if any(sign in patient_id for sign in "*?\\"):
        raise NotFoundError("the PatientID holds a wildcard character, so nothing was asked")
    query = Dataset()
    if not (patient_id + question.IssuerOfPatientID).isascii():
        query.SpecificCharacterSet = "ISO_IR 192"
    query.QueryRetrieveLevel = "STUDY"
    query.PatientID = patient_id
    if question.IssuerOfPatientID:
        query.IssuerOfPatientID = question.IssuerOfPatientID
    first = _days(question.study_date, -rule.within_days)
    last = _days(question.study_date, rule.after_days)
    query.StudyDate = f"{_da(first)}-{_da(last)}"
    query.StudyTime = ""
    query.ModalitiesInStudy = modality
    query.StudyInstanceUID = ""
    return query


def series_query(study_uid: str, modality: str) -> Dataset:
    """The SERIES level identifier for the series of one modality."""
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = study_uid
    query.Modality = modality
    query.SeriesInstanceUID = ""
    query.NumberOfSeriesRelatedInstances = ""
    return query


def find_studies(association: Association, question: Question, rule: PriorRule) -> list[str]:
    """Study Instance UIDs of the patient's other studies that the rule wants, newest first.

    Raises NotFoundError, DestinationUnavailableError, DestinationRefusedError.
    """
    newest: dict[str, tuple[str, str]] = {}
    for modality in rule.modalities:
        # One question for each: matching on a list of modalities is not in the standard.
        query = study_query(question, rule, modality)
        for match in _find(association, query):
            study_uid = _text(match, "StudyInstanceUID")
            if is_uid(study_uid) and _is_asked_for(match, query, question):
                newest[study_uid] = _text(match, "StudyDate"), _text(match, "StudyTime")
    newest.pop(question.study_uid, None)
    return sorted(newest, key=lambda uid: (*newest[uid], uid), reverse=True)[: rule.limit]


def find_series(association: Association, study_uid: str, rule: PriorRule) -> list[FoundSeries]:
    """The series of the wanted modalities. Raises like `find_studies`."""
    found: dict[str, FoundSeries] = {}
    for modality in rule.modalities:
        for match in _find(association, series_query(study_uid, modality)):
            series_uid = _text(match, "SeriesInstanceUID")
            if is_uid(series_uid) and _text(match, "Modality") == modality:
                found[series_uid] = FoundSeries(study_uid, series_uid, _count(match))
    return list(found.values())


def move_series(association: Association, series: FoundSeries, ae_title: str) -> None:
    """Have the archive send a series to `ae_title`.

    Raises DestinationUnavailableError, DestinationRefusedError.
    """
    identifier = _identifier(series)
    _finish(association.send_c_move(identifier, ae_title, STUDY_ROOT_MOVE), ae_title)


def get_series(association: Association, series: FoundSeries) -> None:
    """Have the archive send a series on this association; else like `move_series`."""
    _finish(association.send_c_get(_identifier(series), STUDY_ROOT_GET), "")


def _find(association: Association, query: Dataset) -> Iterator[Dataset]:
    answers = 0
    for status, match in association.send_c_find(query, STUDY_ROOT_FIND):
        code = status.get("Status")
        if code in _PENDING and match is not None:
            answers += 1
            if answers > _MOST_ANSWERS:
                raise DestinationRefusedError(f"more than {_MOST_ANSWERS} answers to one C-FIND")
            yield match
        elif code in _REFUSED:
            raise DestinationRefusedError(f"{answer_text(code)} to C-FIND")
        elif code != 0x0000:
            raise DestinationUnavailableError(f"{answer_text(code)} to C-FIND")


def _finish(answers: Iterator[tuple[Dataset, Any]], ae_title: str) -> None:
    """Follow a retrieval to its last answer (PS3.4 C.4.2.1.7)."""
    for status, _ in answers:
        code = status.get("Status")
        if code in _PENDING:
            continue
        if code == _MOVE_DESTINATION_UNKNOWN or (ae_title and code == _UNABLE_TO_PROCESS):
            raise DestinationUnavailableError(
                f"{answer_text(code)} to C-MOVE; check that {ae_title} is registered there as a "
                "move destination, with this node's address and port"
            )
        if code in _REFUSED:
            raise DestinationRefusedError(f"{answer_text(code)} to the retrieval")
        failed = int(status.get("NumberOfFailedSuboperations") or 0)
        if code not in (0x0000, _WITH_WARNINGS) or failed:
            raise DestinationUnavailableError(
                f"{answer_text(code)} to the retrieval, {failed} instances failed"
            )
        return
    raise DestinationUnavailableError("the retrieval ended without an answer")


def _is_asked_for(match: Dataset, query: Dataset, question: Question) -> bool:
    """Whether an answer is about what was asked: archives may ignore keys they do not support."""
    issuer = _text(match, "IssuerOfPatientID")
    wanted_issuer = question.IssuerOfPatientID.strip()
    first, last = str(query.StudyDate).split("-")
    studied_on = _text(match, "StudyDate")
    modalities = _texts(match.get("ModalitiesInStudy"))
    return (
        _text(match, "PatientID") == query.PatientID
        and (not issuer or not wanted_issuer or issuer == wanted_issuer)
        and (not studied_on or first <= studied_on <= last)
        and (not modalities or query.ModalitiesInStudy in modalities)
    )


def _identifier(series: FoundSeries) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID = series.study_uid
    identifier.SeriesInstanceUID = series.series_uid
    return identifier


def _count(match: Dataset) -> int | None:
    text = _text(match, "NumberOfSeriesRelatedInstances")
    return int(text) if text.isdecimal() else None


def _text(match: Dataset, keyword: str) -> str:
    return str(match.get(keyword) or "").strip("\0 ")


def _texts(value: Any) -> Sequence[str]:
    if not value:
        return ()
    return [value] if isinstance(value, str) else [str(each) for each in value]


def _da(day: date) -> str:
    # Not strftime, which does not pad years before 1000.
    return day.isoformat().replace("-", "")


def _days(day: date, count: int) -> date:
    """`day` moved, kept within the years that DA can hold."""
    try:
        return day + timedelta(days=count)
    except OverflowError:
        return date.min if count < 0 else date.max
