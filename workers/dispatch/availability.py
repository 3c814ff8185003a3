"""What all workers know of the destinations that failed last: who may try one, and when.

A destination that is away is asked by one worker at a time, with growing pauses, whatever the
number of studies that wait for it; the others leave it alone and go on with other destinations.
A destination that works has no row.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import aliased

from node.backoff import pause
from node.destinations import Destination
from node.job import DELIVERING, utc_now
from node.settings import Settings
from node.store.deliveries import PENDING, SENT
from node.store.session import Store, changed_one, insert_for
from node.store.tables import Delivery, DestinationState, Job, Result

# How far apart the jobs that wait look, on average half of it, and how long one rests at most. A
# look costs a worker 20 ms of processor.
_APART = timedelta(seconds=0.2)
_FURTHEST = timedelta(minutes=30)


def may_try(store: Store, destination: Destination) -> bool:
    """Whether the caller may call the destination now.

    Of one that failed, the try is the caller's alone until its outcome is written, or its time is
    up because the caller died.
    """
    now = utc_now()
    guarded = now + timedelta(seconds=2 * destination.timeout_seconds)
    with store.writing() as session:
        if session.get(DestinationState, destination.name) is None:
            return True
        row = update(DestinationState).where(DestinationState.name == destination.name)
        return changed_one(
            session, row.where(DestinationState.due_at <= now).values(due_at=guarded)
        )


def works(store: Store, name: str) -> bool:
    """Forget what was known of a destination; whether it had failed before.

    If it had, the jobs that wait for it are due.
    """
    with store.reading() as session:
        if session.get(DestinationState, name) is None:
            return False
    with store.writing() as session:
        gone: Any = session.execute(delete(DestinationState).where(DestinationState.name == name))
        now = utc_now()
        session.execute(
            update(Job)
            .where(Job.id.in_(_waiting_jobs(name, now)))
            .values(due_at=now, rung_at=None),
            execution_options={"synchronize_session": False},
        )
        return bool(gone.rowcount)


def fails(store: Store, name: str, reason: str, settings: Settings) -> None:
    """Note a failure; the next try comes after a longer pause."""
    now = utc_now()
    first = {"name": name, "failures": 1, "failing_since": now, "due_at": now}
    once_more = {"failures": DestinationState.failures + 1}
    with store.writing() as session:
        # In one statement: who has just reached it takes the row away.
        noted = insert_for(session, DestinationState).values(first)
        failures = session.scalar(
            noted.on_conflict_do_update(index_elements=["name"], set_=once_more).returning(
                DestinationState.failures
            )
        )
        row = session.get_one(DestinationState, name)
        row.due_at, row.error = now + pause(failures, settings), reason
        row.failing_since = row.failing_since or now


def forget(store: Store, name: str) -> None:
    """Nothing is known any more of a destination that is no longer configured."""
    with store.writing() as session:
        session.execute(delete(DestinationState).where(DestinationState.name == name))


def _waiting_jobs(name: str, now: datetime) -> Select[int]:
    """Jobs to be woken; one that is just being written to looks for itself."""
    there = (
        select(Result.job_id)
        .join(Delivery)
        .where(Delivery.destination == name, Delivery.state.in_((PENDING, SENT)))
    )
    job = aliased(Job)
    return (
        select(job.id)
        .where(job.state == DELIVERING, job.lease_owner.is_(None), job.due_at > now)
        .where(job.id.in_(there))
        .with_for_update(skip_locked=True)
    )


def known_failures(store: Store, names: Collection[str]) -> dict[str, tuple[datetime, str]]:
    """When to look at the destinations that failed, and their reasons, by name.

    The first who looks then tries it, and wakes the others if it works: the more wait, the further
    apart they look, so that those who only wait take no worker from what can be delivered.
    """
    with store.reading() as session:
        rows = session.scalars(
            select(DestinationState).where(DestinationState.name.in_(names))
        ).all()
        delivering = select(func.count()).where(Job.state == DELIVERING)
        others = (session.scalar(delivering) or 1) - 1 if rows else 0
        latest = min(others * _APART, _FURTHEST)
        return {
            row.name: (
                row.due_at + latest * random.random(),  # noqa: S311  # no secret
                row.error or f"{row.name} does not answer",
            )
            for row in rows
        }
