"""Support of the sweeper: what waits for a time that cannot be, because the clock was set back.

In: the clock and the rows. Out: rows that wait no longer than the settings let anything wait. What
must hold: a machine that starts with its clock hours ahead, and is then set right by NTP, has no
study that waits for these hours; done again, or by two sweepers, it changes nothing.

What waits for a Storage Commitment report is left alone: its destination says how long, and the
report itself ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Update, select, update

from node.job import ACTIVE, DELIVERING, QUEUED, RUNNING, utc_now
from node.logs import log
from node.priors import requests
from node.settings import Settings
from node.store import commitments
from node.store.deliveries import ASKED
from node.store.session import Store
from node.store.tables import (
    Commitment,
    Delivery,
    DestinationState,
    Job,
    PriorRequest,
    Result,
    Study,
)

# Clocks of several machines differ, and a pause is stretched by chance: only more is a jump.
_SLACK = 2.0
# A destination is kept for whoever calls it, for twice its own timeout.
_LONGEST_CALL = timedelta(hours=1)


def bring_back(store: Store, settings: Settings, now: datetime | None = None) -> None:
    """Shorten what waits impossibly long. Raises SQLAlchemyError."""
    now = now or utc_now()
    moves = _moves(settings, now)
    with store.reading() as session:
        wrong = [move for move, table, where in moves if session.scalar(_any(table, where))]
    if not wrong:
        return
    with store.writing() as session:
        for move in wrong:
            session.execute(move, execution_options={"synchronize_session": False})
    log.warning(
        "the clock was set back, or another machine's is ahead; nothing waits for that time"
    )


def _moves(settings: Settings, now: datetime) -> Sequence[tuple[Update, Any, Any]]:
    """What is to be written, where, and on which condition."""
    quiet, longest = settings.study_quiet_seconds, settings.study_max_seconds
    lease, ring = settings.lease_seconds, settings.ring_seconds
    pause = settings.retry_max_seconds
    at_once = {"due_at": now, "rung_at": None}
    until_called = _after(now, pause) + _LONGEST_CALL
    asked = select(Result.job_id).join(Delivery).where(Delivery.state == ASKED)
    return [
        _move(
            Study,
            Study.deadline_at > _after(now, max(longest, quiet)),
            deadline_at=now + timedelta(seconds=quiet),
            hard_deadline_at=now + timedelta(seconds=longest),
        ),
        _move(
            Job,
            Job.state.in_(ACTIVE) & (Job.lease_until > _after(now, lease)),
            lease_until=now + timedelta(seconds=lease),
        ),
        _move(Job, Job.state.in_((QUEUED, RUNNING)) & (Job.due_at > _after(now, pause)), **at_once),
        _move(
            Job,
            (Job.state == DELIVERING) & (Job.due_at > until_called) & Job.id.not_in(asked),
            **at_once,
        ),
        _move(Job, Job.state.in_(ACTIVE) & (Job.rung_at > _after(now, ring)), rung_at=None),
        _move(
            Job,
            Job.state.in_(ACTIVE) & (Job.failing_since > _after(now, ring)),
            failing_since=now,
        ),
        _move(
            Delivery,
            # Found by its time: of those that are sent for good there may be a million.
            (Delivery.state != ASKED) & (Delivery.due_at > _after(now, pause)),
            due_at=now,
        ),
        _move(DestinationState, DestinationState.due_at > until_called, due_at=now),
        *_moves_for_peers(settings, now),
    ]


def _moves_for_peers(settings: Settings, now: datetime) -> Sequence[tuple[Update, Any, Any]]:
    """The same of reports that modalities wait for, and of questions for priors."""
    lease, pause = settings.lease_seconds, settings.retry_max_seconds
    asked, request = Commitment.state == commitments.WAITING, PriorRequest.state == requests.WAITING
    lease_end = now + timedelta(seconds=lease)
    return [
        _move(Commitment, asked & (Commitment.due_at > _after(now, pause)), due_at=now),
        _move(
            Commitment, asked & (Commitment.lease_until > _after(now, lease)), lease_until=lease_end
        ),
        # Of a try that is under way it is the lease.
        _move(
            PriorRequest,
            request & (PriorRequest.due_at > _after(now, max(lease, pause))),
            due_at=lease_end,
        ),
    ]


def _move(table: Any, where: Any, **values: Any) -> tuple[Update, Any, Any]:
    return update(table).where(where).values(values), table, where


def _any(table: Any, where: Any) -> Any:
    return select(1).select_from(table).where(where).limit(1)


def _after(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=_SLACK * seconds)
