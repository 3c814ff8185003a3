"""Retention's transaction: one study leaves the store whole, or stays.

In: a study and a rule. Out: its instances, series, findings and patient data are gone, its jobs are
`removed`, and a `Removal` row tells what that was and which files are to go (`leftovers.py`).

What stays is what must stay true: which revisions there were, so that a study that comes again
makes results of new UIDs; which results were sent where, so that those can be superseded; which
model looked at which image; the timeline. No patient data (docs/decisions/0009-retention.md).

What must hold: nobody is at work on the study when it goes. Rows are locked in this order: requests
for Storage Commitment, the patient, jobs, the study; then `obstacle` looks, under the locks. A job
or study that somebody else has locked is not waited for: a worker locks its job before the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, literal, select, text, tuple_, update
from sqlalchemy.orm import Session

from node.header import STUDY_KEYS
from node.job import ACTIVE, DONE, FAILED, RECEIVING, REMOVED, SKIPPED, last_job, remove
from node.store.commitments import WAITING as UNANSWERED
from node.store.deliveries import OPEN
from node.store.files import Files
from node.store.patient import lock_patient
from node.store.session import Store
from node.store.tables import (
    Commitment,
    Delivery,
    FindingRow,
    Instance,
    Job,
    ModelRun,
    PriorRequest,
    Removal,
    Result,
    Series,
    Study,
)

KEEP_DAYS, BY_HAND = "KEEP_DAYS", "by hand"
# Of a `PriorRequest`.
_WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may go: studies in one of these states to which nothing happened for so many days."""

    days: int
    name: str = KEEP_DAYS
    # A failed study waits for a person; only a person lets it go.
    states: tuple[str, ...] = (DONE, SKIPPED)

    def before(self, now: datetime) -> datetime:
        """The moment since when nothing may have happened."""
        return now - timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Weight:
    """What a study holds."""

    instances: int
    received_bytes: int
    results: int
    result_bytes: int

    @property
    def size_bytes(self) -> int:
        """Of both."""
        return self.received_bytes + self.result_bytes


Position = tuple[datetime, str]


def candidates(
    session: Session, state: str, before: datetime, after: Position | None, limit: int
) -> list[Position]:
    """The next studies in this state, by the time of their last instance, from the index alone."""
    column = Study.last_instance_at
    query = select(column, Study.study_uid).where(Study.state == state, column < before)
    if after is not None:
        position = tuple_(literal(after[0], column.type), literal(after[1]))
        query = query.where(tuple_(column, Study.study_uid) > position)
    rows = session.execute(query.order_by(column, Study.study_uid).limit(limit))
    return [(at, study_uid) for at, study_uid in rows]


def obstacle(session: Session, study: Study, rule: Rule, now: datetime) -> str | None:
    """Why a study stays; None when it may go."""
    if study.state not in rule.states or study.deadline_at is not None:
        return study.state if study.state not in rule.states else RECEIVING
    if study.held_until is not None and study.held_until > now:
        return "being retrieved"
    if _newest(session, study) >= rule.before(now):
        return "younger"
    if _is_at_work(session, study):
        return "at work"
    if study.state != FAILED and _has_open_delivery(session, study):
        return "not delivered"
    if _waits_for_priors(session, study):
        return "priors are asked for"
    if _patient_is_at_work(session, study):
        return "another study of the patient is at work"
    if _commitment_is_asked(session, study):
        return "Storage Commitment is asked for"
    return None


def weigh(session: Session, study_uid: str) -> Weight:
    """How much a study holds, on disk and in rows."""
    mine = select(func.count(), func.coalesce(func.sum(Instance.size_bytes), 0))
    instances, received = session.execute(mine.where(Instance.study_uid == study_uid)).one()
    made = select(func.count(), func.coalesce(func.sum(Result.size_bytes), 0)).select_from(Result)
    results, written = session.execute(
        made.join(Job).where(Job.study_uid == study_uid, Job.state != REMOVED)
    ).one()
    # PostgreSQL sums to Decimal.
    return Weight(instances, int(received), results, int(written))


def remove_study(
    store: Store, files: Files, study_uid: str, rule: Rule, now: datetime
) -> Weight | None:
    """Remove one study if nothing stands against it; None when it stays. Raises SQLAlchemyError."""
    with store.writing() as session:
        study, jobs = _locked(session, study_uid)
        if study is None or obstacle(session, study, rule, now) is not None:
            return None
        weight = weigh(session, study_uid)
        removal = Removal(
            study_uid=study_uid,
            removed_at=now,
            keep_days=rule.days,
            rule=rule.name,
            **asdict(weight),
            paths=_paths(session, files, study_uid, jobs),
            due_at=now,
        )
        _delete(session, study_uid, [job.id for job in jobs])
        remove(session, study, jobs, _sentence(rule, weight))
        for keyword in STUDY_KEYS:
            setattr(study, keyword, "")
        session.add(removal)
    return weight


def _locked(session: Session, study_uid: str) -> tuple[Study | None, Sequence[Job]]:
    """The rows of a study, locked; no study when another process is just at one of them."""
    if session.get_bind().dialect.name == "postgresql":
        # A request that came now would be answered by rows that are about to go. On SQLite the
        # transaction itself keeps everybody out.
        session.execute(text("LOCK TABLE commitment IN SHARE MODE"))
    known = session.get(Study, study_uid)
    if known is None:
        return None, ()
    lock_patient(session, known)
    mine = (Job.study_uid == study_uid, Job.state != REMOVED)
    jobs = session.scalars(
        select(Job).where(*mine).order_by(Job.revision).with_for_update(skip_locked=True)
    ).all()
    if len(jobs) < session.execute(select(func.count(Job.id)).where(*mine)).scalar_one():
        return None, ()
    study = session.scalar(
        select(Study)
        .where(Study.study_uid == study_uid)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return study, jobs


def _newest(session: Session, study: Study) -> datetime:
    """The last time that something happened: an instance, a move of a job, a delivery."""
    received = select(func.max(Instance.received_at)).where(Instance.study_uid == study.study_uid)
    moved = select(func.max(Job.due_at)).where(Job.study_uid == study.study_uid)
    delivered = (
        select(func.max(Delivery.sent_at), func.max(Delivery.confirmed_at))
        .join(Result, Result.id == Delivery.result_id)
        .join(Job, Job.id == Result.job_id)
        .where(Job.study_uid == study.study_uid)
    )
    times = [
        study.last_instance_at,
        session.scalar(received),
        session.scalar(moved),
        *session.execute(delivered).one(),
    ]
    return max(each for each in times if each is not None)


def _is_at_work(session: Session, study: Study) -> bool:
    """Whether a job is, of whichever revision: the study's state tells of the last one alone."""
    busy = select(Job.id).where(Job.study_uid == study.study_uid, Job.state.in_(ACTIVE))
    return session.scalar(busy.limit(1)) is not None


def _has_open_delivery(session: Session, study: Study) -> bool:
    job = last_job(session, study.study_uid)
    if job is None:
        return False
    mine = select(Delivery.id).join(Result).where(Result.job_id == job.id)
    return session.scalar(mine.where(Delivery.state.in_(OPEN)).limit(1)) is not None


def _waits_for_priors(session: Session, study: Study) -> bool:
    """For this study, or for another of the patient, to which it may be a prior."""
    waiting = select(PriorRequest.id).where(PriorRequest.state == _WAITING)
    own = waiting.where(PriorRequest.study_uid == study.study_uid)
    others = waiting.join(Study, Study.study_uid == PriorRequest.study_uid).where(
        Study.PatientID == study.PatientID
    )
    if session.scalar(own.limit(1)) is not None:
        return True
    return bool(study.PatientID) and session.scalar(others.limit(1)) is not None


def _patient_is_at_work(session: Session, study: Study) -> bool:
    """Whether another study may be, or become, combined with this one (`workers/partner.py`)."""
    if not study.PatientID:
        return False
    others = select(Study.study_uid).where(
        Study.PatientID == study.PatientID, Study.study_uid != study.study_uid
    )
    busy = others.where(Study.state.in_((RECEIVING, *ACTIVE)))
    return session.scalar(busy.limit(1)) is not None


def _commitment_is_asked(session: Session, study: Study) -> bool:
    """Whether a modality waits to hear that the node holds an instance of the study."""
    asked = session.scalars(select(Commitment.items).where(Commitment.state == UNANSWERED)).all()
    if not asked:
        return False
    mine = select(Instance.sop_instance_uid).where(Instance.study_uid == study.study_uid)
    held = set(session.scalars(mine))
    return any(sop_instance_uid in held for items in asked for _, sop_instance_uid in items)


def _paths(session: Session, files: Files, study_uid: str, jobs: Sequence[Job]) -> list[str]:
    """Where files of the study are: folders, and packs that it may share with others."""
    packs = session.scalars(
        select(Instance.path)
        .where(Instance.study_uid == study_uid, Instance.pack_offset.is_not(None))
        .distinct()
        .order_by(Instance.path)
    )
    folders = [folder for job in jobs for folder in files.revision_folders(study_uid, job.revision)]
    return [files.instance_folder(study_uid), *folders, *packs]


def _delete(session: Session, study_uid: str, job_ids: Sequence[int]) -> None:
    runs = select(ModelRun.id).where(ModelRun.job_id.in_(job_ids))
    statements: list[Any] = [
        delete(FindingRow).where(FindingRow.model_run_id.in_(runs)),
        update(ModelRun).where(ModelRun.job_id.in_(job_ids)).values(probabilities={}),
        *(
            delete(table).where(table.study_uid == study_uid)
            for table in (PriorRequest, Instance, Series)
        ),
    ]
    for statement in statements:
        session.execute(statement.execution_options(synchronize_session=False))


def _sentence(rule: Rule, weight: Weight) -> str:
    return (
        f"nothing happened for {rule.days} days ({rule.name}): {weight.instances} instances and "
        f"{weight.results} results, {weight.size_bytes} bytes"
    )
