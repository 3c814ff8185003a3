"""Another chance for a study that failed, from the stage that failed: what a person asks for.

In: a Study Instance UID. Out: the message to publish. What must hold: what has left the node is
sent again as it is, or replaced by a new revision, never made anew under UIDs that archives have.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from node.errors import IllegalMoveError, NotFoundError
from node.job import (
    DELIVERING,
    FAILED,
    QUEUED,
    Bell,
    bell_of,
    last_job,
    last_job_query,
    move,
    new_job,
    record,
    utc_now,
)
from node.store.deliveries import PENDING
from node.store.runs import LACKING
from node.store.session import Store
from node.store.tables import Combination, Delivery, DestinationState, Job, Study


def retry(store: Store, study_uid: str) -> Bell:
    """Give a failed study another chance, from the stage that failed.

    Undelivered results are sent again as they are. Failed model runs are run again: in the same
    revision if nothing left the node yet, else as a new revision, because an archive keeps the
    first object it gets under a UID. Raises NotFoundError, IllegalMoveError.
    """
    with store.writing() as session:
        # Locked: a person may be removing it at this moment.
        job = session.scalar(last_job_query(study_uid).with_for_update())
        if job is None:
            raise NotFoundError(
                "this study has no job to retry: it is unknown, still receiving, was skipped or "
                "removed"
            )
        bell = _hurry(session, job) if job.state == DELIVERING else None
        if bell is not None:
            return bell
        if job.state != FAILED:
            raise _not_failed(job)
        bell = _restart(session, job)
        assert bell is not None
        return bell


def _restart(session: Session, job: Job) -> Bell | None:
    failed = [run for run in job.model_runs if run.state in LACKING]
    deliveries = [delivery for result in job.results for delivery in result.deliveries]
    if job.results and not failed:
        _send_again(session, deliveries)
        job.error = None
        return move(session, job, DELIVERING, "retry of the delivery")
    # Of a try that broke off nobody knows whether the archive has taken the object.
    if any(each.state != PENDING or each.attempts or each.failures for each in deliveries):
        study = session.get_one(Study, job.study_uid, with_for_update=True, populate_existing=True)
        # While the rows were waited for, another retry or a late image may have opened the next.
        last = last_job(session, job.study_uid)
        if last is not job and last is not None:
            raise _not_failed(last)
        study.revision += 1
        return new_job(session, study, "retry as a new revision")
    # Whole images are looked at again: their picture shows the findings of all models.
    again = {run.source_sop_uid for run in failed}
    job.model_runs = [run for run in job.model_runs if run.source_sop_uid not in again]
    job.results.clear()
    # Other findings may go with another study's into a combined report.
    job.inferred_at = None
    session.execute(delete(Combination).where(Combination.job_id == job.id))
    job.error = None
    session.flush()
    return move(session, job, QUEUED, "retry")


def _not_failed(job: Job) -> IllegalMoveError:
    return IllegalMoveError(f"only a failed study can be retried; this one is {job.state}")


def _hurry(session: Session, job: Job) -> Bell | None:
    """Try now what was given up or waits; None when a worker is at it or nothing is left."""
    deliveries = [delivery for result in job.results for delivery in result.deliveries]
    if job.lease_owner is not None or not _send_again(session, deliveries):
        return None
    job.due_at = job.rung_at = utc_now()
    record(session, job.study_uid, job.revision, job.state, "retry of the delivery")
    return bell_of(job)


def _send_again(session: Session, deliveries: Sequence[Delivery]) -> bool:
    """Make what did not arrive due at once, its destinations too; whether there was any."""
    settled = ("sent", "confirmed", "asked", "replaced")
    unfinished = [each for each in deliveries if each.state not in settled]
    for delivery in unfinished:
        delivery.state, delivery.error = "pending", None
        delivery.due_at = delivery.failing_since = None
        delivery.failures = 0
    names = {delivery.destination for delivery in unfinished}
    session.execute(
        update(DestinationState).where(DestinationState.name.in_(names)).values(due_at=utc_now())
    )
    return bool(unfinished)
