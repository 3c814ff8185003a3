"""Stage 4: the states of a study's work, the legal moves between them, leases and the doorbell.

In: a job row that `completion` made. Out: moves, each one compare-and-set UPDATE, so that two
processes can never both make it. The row is the truth; the Celery message published after the
commit only says "look at this row", and may be lost or doubled without harm.

    receiving -> queued -> running -> delivering -> done
                   ^  \\_______/  \\________/  |
                   |   retry later            `-> failed -> queued, delivering  (by a person)
                   |          `-> skipped: every model declined every image
                   `---- a late image, or a model that was away: a new job, the next revision
    done, skipped; failed by a person -> removed: by retention, with all that was kept

What must hold: a job in progress has a lease that its worker renews; when the lease runs out the
job is free again; whoever lost a lease can no longer write.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, or_, select, update
from sqlalchemy.orm import Session

from node.backoff import plain_pause
from node.errors import IllegalMoveError, LeaseLostError
from node.identifiers import JobId
from node.settings import Settings
from node.store.runs import AWAY
from node.store.session import Store, changed_one
from node.store.tables import Event, Instance, Job, ModelRun, Study

QUEUED, RUNNING, DELIVERING = "queued", "running", "delivering"
DONE, FAILED = "done", "failed"
RECEIVING, SKIPPED = "receiving", "skipped"
REMOVED = "removed"
ACTIVE = (QUEUED, RUNNING, DELIVERING)

LEGAL_MOVES: dict[str, frozenset[str]] = {
    QUEUED: frozenset({RUNNING, FAILED}),
    RUNNING: frozenset({QUEUED, DELIVERING, SKIPPED, FAILED}),
    DELIVERING: frozenset({DONE, FAILED}),
    DONE: frozenset({REMOVED}),
    SKIPPED: frozenset({REMOVED}),
    FAILED: frozenset({QUEUED, DELIVERING, REMOVED}),
    REMOVED: frozenset(),
}

# Tasks by name: the node publishes them without importing the worker's code.
ANALYSE_TASK, DELIVER_TASK = "sentinode.analyse", "sentinode.deliver"
# Queues are named by their guarantee: a message may be lost or doubled, the lease decides.
ANALYSIS_QUEUE, DELIVERY_QUEUE = "leased.analysis", "leased.delivery"


@dataclass(frozen=True, slots=True)
class Bell:
    """What to publish after a commit."""

    task: str
    queue: str
    job_id: JobId


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one job for a while."""

    job_id: JobId
    owner: str
    study_uid: str
    revision: int


def utc_now() -> datetime:
    """Now, aware, UTC."""
    return datetime.now(UTC)


def bell_of(job: Job) -> Bell:
    """The message that a waiting job needs next."""
    if job.state == DELIVERING:
        return Bell(DELIVER_TASK, DELIVERY_QUEUE, JobId(job.id))
    return Bell(ANALYSE_TASK, ANALYSIS_QUEUE, JobId(job.id))


def record(session: Session, study_uid: str, revision: int, stage: str, text: str) -> None:
    """Add a line to the study's timeline."""
    session.add(Event(study_uid=study_uid, revision=revision, at=utc_now(), stage=stage, text=text))


def claim(store: Store, job_id: JobId, owner: str, state: str, settings: Settings) -> Lease | None:
    """Take the lease of a job that waits for `state` (running or delivering).

    None when someone else holds it, it is not due, or it has moved on: then there is nothing to do.
    """
    now = utc_now()
    # Each claim is another's: processes of two containers may have one host name and one number.
    owner = f"{owner}/{os.urandom(4).hex()}"
    waiting = (QUEUED, RUNNING) if state == RUNNING else (DELIVERING,)
    with store.writing() as session:
        taken = changed_one(
            session,
            update(Job)
            .where(Job.id == job_id, Job.state.in_(waiting), Job.due_at <= now)
            .where(or_(Job.lease_until.is_(None), Job.lease_until < now))
            .values(
                state=state,
                lease_owner=owner,
                lease_until=now + timedelta(seconds=settings.lease_seconds),
                attempts=Job.attempts + 1,
                # A lease that was not given back belonged to a worker that died. Whoever gives it
                # back, or gets on, ends the row: it is what kills every worker that is looked for.
                crashes=Job.crashes + case((Job.lease_owner.is_not(None), 1), else_=0),
            ),
        )
        if not taken:
            return None
        job = session.get_one(Job, job_id)
        if job.crashes >= settings.crash_limit:
            job.error = f"its worker died {job.crashes} times; see the worker's log, then retry"
            move(session, job, FAILED, job.error)
            return None
        if state == RUNNING and job.started_at is None:
            job.started_at = now
        show_state(session, job.study_uid)
        # What waits for an archive or a model is tried again every minute, for a day maybe.
        if job.attempts == 1 or (state == RUNNING and job.failing_since is None):
            record(session, job.study_uid, job.revision, state, f"try {job.attempts}")
        return Lease(job_id, owner, job.study_uid, job.revision)


def renew(store: Store, lease: Lease, settings: Settings) -> None:
    """Keep the lease. Raises LeaseLostError."""
    until = utc_now() + timedelta(seconds=settings.lease_seconds)
    with store.writing() as session:
        if not changed_one(session, _held(lease).values(lease_until=until)):
            raise LeaseLostError(f"job {lease.job_id} belongs to another worker now")


def hold(session: Session, lease: Lease) -> Job:
    """The job row, inside a transaction that only the lease's owner can commit.

    Raises LeaseLostError. Every write of a worker goes through here (fencing).
    """
    if not changed_one(session, _held(lease).values(lease_owner=lease.owner)):
        raise LeaseLostError(f"job {lease.job_id} belongs to another worker now")
    return session.get_one(Job, lease.job_id, populate_existing=True)


def move(session: Session, job: Job, state: str, text: str) -> Bell | None:
    """Move a job to `state`, give its lease back, and say what to publish, if anything.

    Raises IllegalMoveError.
    """
    if state not in LEGAL_MOVES[job.state]:
        raise IllegalMoveError(f"job {job.id} cannot go from {job.state} to {state}")
    job.state = state
    job.lease_owner = job.lease_until = job.failing_since = None
    job.attempts = job.crashes = 0
    job.due_at = job.rung_at = utc_now()
    session.flush()
    show_state(session, job.study_uid)
    record(session, job.study_uid, job.revision, state, text)
    return bell_of(job) if state in ACTIVE else None


def postpone(session: Session, job: Job, reason: str, settings: Settings) -> None:
    """Give the lease back after a transient failure; fail the job when that lasts too long."""
    now = utc_now()
    is_new = job.failing_since is None or reason != job.error
    job.failing_since = job.failing_since or now
    job.error = reason
    job.crashes = 0
    failing_for = failing_seconds(job)
    if failing_for > settings.retry_give_up_seconds:
        move(session, job, FAILED, f"given up after {failing_for:.0f} s: {reason}")
        return
    pause = plain_pause(job.attempts, settings)
    job.due_at = now + pause
    job.rung_at = None
    job.lease_owner = job.lease_until = None
    # As in `claim`: a thousand lines would say the same.
    if is_new:
        text = f"again in {pause.total_seconds():.0f} s: {reason}"
        record(session, job.study_uid, job.revision, job.state, text)
        show_state(session, job.study_uid)


def failing_seconds(job: Job) -> float:
    """For how long every try of the job has failed; 0 where none has."""
    return 0.0 if job.failing_since is None else (utc_now() - job.failing_since).total_seconds()


def wait_until(session: Session, job: Job, due_at: datetime, reason: str) -> None:
    """Give the lease back until `due_at`; the timeline says so when there is another reason.

    Unlike `postpone` it never fails the job: whoever waits knows when to give up.
    """
    if reason != job.error:
        record(session, job.study_uid, job.revision, job.state, f"waits: {reason}")
        job.error = reason
        show_state(session, job.study_uid)
    job.due_at = due_at
    job.rung_at = job.failing_since = None
    job.lease_owner = job.lease_until = None
    job.crashes = 0


def is_unrung(states: Sequence[str], settings: Settings) -> ColumnElement[bool]:
    """Of a job row: in one of these states, due, free, and not rung for a while."""
    now = utc_now()
    stale = now - timedelta(seconds=settings.ring_seconds)
    return and_(
        Job.state.in_(states) & (Job.due_at <= now),
        or_(Job.lease_until.is_(None), Job.lease_until < now),
        or_(Job.rung_at.is_(None), Job.rung_at < stale),
    )


def remove(session: Session, study: Study, jobs: Sequence[Job], text: str) -> None:
    """Move a study at rest and all of its jobs to `removed`; stored again, it begins anew.

    The caller has locked the rows. Raises IllegalMoveError.
    """
    for job in jobs:
        if REMOVED not in LEGAL_MOVES[job.state]:
            raise IllegalMoveError(f"job {job.id} cannot go from {job.state} to {REMOVED}")
        job.state = REMOVED
    record(session, study.study_uid, study.revision, REMOVED, text)
    study.state, study.revision, study.views, study.error = REMOVED, 0, [], None


def new_job(session: Session, study: Study, text: str, pause: timedelta = timedelta()) -> Bell:
    """Open the next revision of a study, due after `pause`.

    The caller has moved `study.revision` on.
    """
    now = utc_now()
    job = Job(
        study_uid=study.study_uid,
        revision=study.revision,
        state=QUEUED,
        due_at=now + pause,
        rung_at=now,
        complete_at=now,
    )
    session.add(job)
    session.flush()
    show_state(session, study.study_uid)
    record(session, study.study_uid, study.revision, QUEUED, text)
    return bell_of(job)


def follow_up(session: Session, job: Job, settings: Settings) -> None:
    """Have the next revision ask the models that were away; nothing where none was."""
    runs = select(ModelRun.model).where(ModelRun.job_id == job.id, ModelRun.state == AWAY)
    away = sorted(session.scalars(runs.distinct()))
    if not away:
        return
    # Locked: reception and sweepers write this row too.
    study = session.get_one(Study, job.study_uid, with_for_update=True, populate_existing=True)
    if study.revision != job.revision:
        return
    study.revision += 1
    pause = timedelta(seconds=settings.retry_max_seconds)
    new_job(session, study, f"waits for {', '.join(away)}", pause)


def seize(session: Session, job: Job) -> bool:
    """Lock a job that waits to be analysed until the transaction ends; False where none waits."""
    waits = (Job.lease_owner.is_(None), Job.due_at > utc_now(), Job.inferred_at.is_(None))
    return changed_one(
        session,
        update(Job)
        .where(Job.id == job.id, Job.state.in_((QUEUED, RUNNING)), *waits)
        .values(due_at=Job.due_at),
    )


def last_job(session: Session, study_uid: str) -> Job | None:
    """The job of the highest revision, of those that were not removed."""
    return session.scalar(last_job_query(study_uid))


def last_reported(session: Session, study_uid: str) -> Job | None:
    """The job of the highest revision that has result objects, of those that were not removed."""
    return session.scalar(last_job_query(study_uid).where(Job.encoded_at.is_not(None)))


def show_state(session: Session, study_uid: str) -> None:
    """Derive the study's visible state from its last job and its waiting images.

    Its row is locked first: what reception or a sweeper is just committing would be missed, and
    what they have shown of it written over.
    """
    locked = select(Study).where(Study.study_uid == study_uid).with_for_update(key_share=True)
    study = session.scalars(locked.execution_options(populate_existing=True)).one()
    last = last_job(session, study_uid)
    if last is not None and last.state in ACTIVE:
        study.state = last.state
    elif study.deadline_at is not None:
        study.state = RECEIVING
    elif last is not None:
        study.state = last.state
    else:
        study.state = SKIPPED
    if last is not None:
        study.error = last.error


def waits_for_archives(job: Job) -> bool:
    """Whether a job is delivered as far as it can be now, and will be looked at again later."""
    return job.state == DELIVERING and job.lease_owner is None and job.due_at > utc_now()


def earlier_is_delivered(session: Session, lease: Lease) -> bool:
    """Whether no earlier revision of the study is still on its way to an archive."""
    open_jobs = select(Job.id).where(
        Job.study_uid == lease.study_uid, Job.revision < lease.revision, Job.state.in_(ACTIVE)
    )
    return session.scalar(open_jobs.limit(1)) is None


def instances_of(session: Session, job: Job) -> Sequence[Instance]:
    """The instances that a job's revision covers, in a stable order."""
    return session.scalars(
        select(Instance)
        .where(Instance.study_uid == job.study_uid, Instance.conflict.is_(False))
        .where(Instance.revision <= job.revision)
        .order_by(Instance.series_uid, Instance.sop_instance_uid)
    ).all()


def brings_images(session: Session, job: Job) -> bool:
    """Whether models look at an image of it that no earlier revision has."""
    models = session.scalars(
        select(Instance.models)
        .where(Instance.study_uid == job.study_uid, Instance.conflict.is_(False))
        .where(Instance.revision == job.revision)
    )
    return any(models)


def last_job_query(study_uid: str) -> Select[Job]:
    """Selects the job of the highest revision, of those that were not removed."""
    mine = select(Job).where(Job.study_uid == study_uid, Job.state != REMOVED)
    return mine.order_by(Job.revision.desc()).limit(1)


def _held(lease: Lease) -> Any:
    return update(Job).where(Job.id == lease.job_id, Job.lease_owner == lease.owner)
