"""The study list: one page of studies, newest first, with counts for each state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from node.job import REMOVED
from node.store.runs import LACKING
from node.store.tables import FindingRow, Instance, Job, ModelRun, Study

PAGE_SIZE = 25


@dataclass(frozen=True, slots=True)
class StudyLine:
    """One line of the list; findings and failed runs are those that the study's page shows."""

    study_uid: str
    state: str
    revision: int
    instances: int
    findings: int
    failed_runs: int
    first_instance_at: datetime
    last_instance_at: datetime
    error: str | None


@dataclass(frozen=True, slots=True)
class StudyList:
    """One page of the list. `page` counts from 1; `counts` holds every state that occurs."""

    lines: tuple[StudyLine, ...]
    counts: dict[str, int]
    state: str | None
    page: int
    pages: int
    total: int


def list_studies(
    session: Session, state: str | None = None, page: int = 1, size: int = PAGE_SIZE
) -> StudyList:
    """Page `page` of the studies in `state`, or of all; beyond the end it is empty."""
    by_state = select(Study.state, func.count()).group_by(Study.state).order_by(Study.state)
    counts = dict(session.execute(by_state).all())
    total = counts.get(state, 0) if state else sum(counts.values())
    wanted = select(Study).order_by(Study.last_instance_at.desc(), Study.study_uid)
    if state:
        wanted = wanted.where(Study.state == state)
    studies = session.scalars(wanted.limit(size).offset((page - 1) * size)).all()
    return StudyList(
        lines=_lines(session, studies),
        counts=counts,
        state=state,
        page=page,
        pages=max(1, -(-total // size)),
        total=total,
    )


def find_studies(session: Session, text: str, size: int = PAGE_SIZE) -> tuple[StudyLine, ...]:
    """The newest studies whose UID, Accession Number or Patient ID this is, `size` at most."""
    if not text or "\0" in text:  # PostgreSQL takes no NUL, and an empty column is no value
        return ()
    is_it = or_(Study.study_uid == text, Study.AccessionNumber == text, Study.PatientID == text)
    wanted = select(Study).where(is_it).order_by(Study.last_instance_at.desc(), Study.study_uid)
    return _lines(session, session.scalars(wanted.limit(size)).all())


def _lines(session: Session, studies: Sequence[Study]) -> tuple[StudyLine, ...]:
    uids = [study.study_uid for study in studies]
    instances = _instances(session, uids)
    shown = _shown(session, uids)
    findings = _findings(session, shown)
    failed = _failed_runs(session, shown)
    return tuple(
        StudyLine(
            study_uid=study.study_uid,
            state=study.state,
            revision=study.revision,
            instances=instances.get(study.study_uid, 0),
            findings=findings.get(study.study_uid, 0),
            failed_runs=failed.get(study.study_uid, 0),
            first_instance_at=study.first_instance_at,
            last_instance_at=study.last_instance_at,
            error=study.error,
        )
        for study in studies
    )


def _instances(session: Session, uids: Sequence[str]) -> dict[str, int]:
    query = (
        select(Instance.study_uid, func.count())
        .where(Instance.study_uid.in_(uids), Instance.conflict.is_(False))
        .group_by(Instance.study_uid)
    )
    return dict(session.execute(query).all())


def _shown(session: Session, uids: Sequence[str]) -> list[int]:
    """The ids of the jobs whose runs a study's page shows (`status.study_status`)."""
    jobs = session.execute(
        select(Job.study_uid, Job.id)
        .where(Job.study_uid.in_(uids), Job.state != REMOVED)
        .order_by(Job.encoded_at.is_not(None), Job.revision)
    )
    # The last of each study stays.
    return list(dict(jobs.all()).values())


def _findings(session: Session, shown: Sequence[int]) -> dict[str, int]:
    query = (
        select(Job.study_uid, func.count(FindingRow.id))
        .join(ModelRun, ModelRun.job_id == Job.id)
        .join(FindingRow, FindingRow.model_run_id == ModelRun.id)
        .where(Job.id.in_(shown))
        .group_by(Job.study_uid)
    )
    return dict(session.execute(query).all())


def _failed_runs(session: Session, shown: Sequence[int]) -> dict[str, int]:
    query = (
        select(Job.study_uid, func.count(ModelRun.id))
        .join(ModelRun, ModelRun.job_id == Job.id)
        .where(Job.id.in_(shown), ModelRun.state.in_(LACKING))
        .group_by(Job.study_uid)
    )
    return dict(session.execute(query).all())
