"""What the store knows: whose priors a study wants, and which of them are here already."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import func, select

from node.priors.archive import FoundSeries, Question
from node.store.session import Store
from node.store.tables import Instance, Study


def read_question(store: Store, study_uid: str) -> Question:
    """Whose priors to ask for, seen from which day."""
    with store.reading() as session:
        study = session.get_one(Study, study_uid)
    return Question(
        study_uid,
        study.PatientID,
        study.IssuerOfPatientID,
        # Without a Study Date the day on which the study came is the best there is.
        _date(study.StudyDate) or study.first_instance_at.date(),
    )


def count_instances(store: Store, series: FoundSeries) -> int:
    """How many instances of a series are stored."""
    with store.reading() as session:
        return (
            session.scalar(
                select(func.count(Instance.sop_instance_uid.distinct()))
                .where(Instance.study_uid == series.study_uid)
                .where(Instance.series_uid == series.series_uid)
            )
            or 0
        )


def is_complete(store: Store, series: FoundSeries, stored: int) -> bool:
    """Whether nothing of a series is missing here.

    Where the archive does not count its instances, a study that a modality sent and that was
    completed is taken as whole.
    """
    if series.instances is not None:
        return stored >= series.instances
    with store.reading() as session:
        study = session.get(Study, series.study_uid)
    return stored > 0 and study is not None and study.revision > 0


def _date(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None
