"""What studies hold, counted by series: received instances and results, without conflicts.

In: Study Instance UIDs of one page. Out: for each series its modality, SOP classes and number of
objects. A study or series that is missing here has nothing that can be given out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from node.destinations import ResultKind
from node.retrieve.holdings import GIVEN_OUT, KEPT, NOT_RECEIVED
from node.store.tables import Instance, Job, Result, Series

# Modality (PS3.3 C.7.3.1.1.1) of each kind of result.
RESULT_MODALITIES: dict[ResultKind, str] = {
    "SEG": "SEG",
    "SR": "SR",
    "CADSR": "SR",
    "COMBINED": "SR",
    "GSPS": "PR",
    "SC": "OT",
    "KOS": "KO",
    "REJECTED": "KO",
}


@dataclass(slots=True)
class SeriesContent:
    """One series."""

    modality: str = ""
    sop_classes: set[str] = field(default_factory=set)
    objects: int = 0
    # A file of a series that only the node wrote: what no row says stands there.
    result_path: str = ""


StudyContent = dict[str, SeriesContent]


def contents(session: Session, study_uids: Sequence[str]) -> dict[str, StudyContent]:
    """Content by Study and Series Instance UID."""
    found: dict[str, StudyContent] = {}
    for study_uid, series_uid, sop_class_uid, count in session.execute(_instances(study_uids)):
        _add(found, study_uid, series_uid, sop_class_uid, count)
    for study_uid, series_uid, sop_class_uid, count, kind, path in session.execute(
        _results(study_uids)
    ):
        series = _add(found, study_uid, series_uid, sop_class_uid, count)
        series.modality, series.result_path = RESULT_MODALITIES.get(kind, "OT"), path
    rows = select(Series.study_uid, Series.series_uid, Series.Modality)
    for study_uid, series_uid, modality in session.execute(
        rows.where(Series.study_uid.in_(study_uids))
    ):
        received = found.get(study_uid, {}).get(series_uid)
        if received is not None:
            received.modality, received.result_path = modality, ""
    return found


def _add(
    found: dict[str, StudyContent], study_uid: str, series_uid: str, sop_class_uid: str, count: int
) -> SeriesContent:
    series = found.setdefault(study_uid, {}).setdefault(series_uid, SeriesContent())
    series.sop_classes.add(sop_class_uid)
    series.objects += count
    return series


def _instances(study_uids: Sequence[str]) -> Select[*tuple[Any, ...]]:
    group = (Instance.study_uid, Instance.series_uid, Instance.sop_class_uid)
    return (
        select(*group, func.count())
        .where(Instance.study_uid.in_(study_uids), GIVEN_OUT)
        .group_by(*group)
    )


def _results(study_uids: Sequence[str]) -> Select[*tuple[Any, ...]]:
    group = (Job.study_uid, Result.series_uid, Result.sop_class_uid)
    return (
        select(*group, func.count(), func.min(Result.kind), func.min(Result.path))
        .select_from(Result)
        .join(Job)
        .where(Job.study_uid.in_(study_uids), KEPT, NOT_RECEIVED)
        .group_by(*group)
    )
