"""The deliveries of one job as rows: what is due, and what became of each.

What must hold: every write is made under the job's lease, and only to a delivery that is still in
the state that it is written from: a commitment report may have settled it meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from node.backoff import pause
from node.job import Lease, hold, utc_now, wait_until
from node.settings import Settings
from node.store.deliveries import ASKED, CONFIRMED, DEAD, PENDING, REFUSED, SENT
from node.store.session import Store
from node.store.tables import CommitmentRequest, Delivery, Job, Result

_UNFINISHED = (PENDING, SENT, ASKED)
# A job that waits is not rung again sooner.
_SHORTEST_WAIT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Errand:
    """One delivery that is due."""

    delivery_id: int
    destination: str
    path: str
    # When the round began.
    state: str
    sop_class_uid: str
    sop_instance_uid: str


class Ledger:
    """The deliveries of the job that `lease` is for."""

    def __init__(self, store: Store, lease: Lease, settings: Settings) -> None:
        self._store = store
        self._lease = lease
        self._settings = settings

    def due(self, unconfirmed: Collection[str]) -> list[Errand]:
        """What is to be done now; what failed least often comes first.

        unconfirmed: destinations that confirm nothing, where `sent` is the end.
        """
        now = utc_now()
        with self._store.writing() as session:
            hold(session, self._lease)
            rows = session.execute(
                select(Delivery, Result)
                .join(Result)
                .where(Result.job_id == self._lease.job_id, Delivery.state.in_(_UNFINISHED))
                .where(or_(Delivery.due_at.is_(None), Delivery.due_at <= now))
                .order_by(Delivery.failures, Delivery.id)
            ).all()
        return [
            _errand(delivery, result)
            for delivery, result in rows
            if not _is_final(delivery, unconfirmed)
        ]

    def sent(self, errand: Errand, transfer_syntax_uid: str) -> None:
        """The destination has taken it."""
        with self._store.writing() as session:
            if row := self._row(session, errand, PENDING):
                row.state, row.sent_at = SENT, utc_now()
                row.attempts += 1
                row.transfer_syntax_uid = transfer_syntax_uid
                _heal(row)

    def confirmed(self, errand: Errand) -> None:
        """The destination lists it."""
        with self._store.writing() as session:
            if row := self._row(session, errand, SENT):
                row.state, row.confirmed_at = CONFIRMED, utc_now()
                _heal(row)

    def refused(self, errand: Errand, reason: str) -> None:
        """The destination will never take it."""
        with self._store.writing() as session:
            if row := self._row(session, errand, *_UNFINISHED):
                row.state, row.error, row.due_at = REFUSED, reason, None

    def postponed(self, errand: Errand, reason: str) -> None:
        """This object is to be tried again after a pause of its own.

        One that was sent in an earlier round, and is not there yet, is sent again: that costs
        nothing, and it may have been lost.
        """
        with self._store.writing() as session:
            if row := self._row(session, errand, *_UNFINISHED):
                _postpone(row, reason, self._settings)
                if errand.state == SENT and row.state == SENT:
                    row.state = PENDING

    def waits(self, destination: str, reason: str) -> None:
        """Nothing goes to this destination for now; its pause is in `availability`."""
        now = utc_now()
        with self._store.writing() as session:
            job = hold(session, self._lease)
            waiting = _of(job).where(Delivery.destination == destination)
            for row in session.scalars(waiting.where(Delivery.state.in_((PENDING, SENT)))):
                row.failing_since, row.error = row.failing_since or now, reason

    def asked(
        self, errands: Sequence[Errand], transaction_uid: str, seconds: float
    ) -> list[Errand]:
        """Begin a Storage Commitment request; returns those that it is about."""
        now = utc_now()
        with self._store.writing() as session:
            about = [each for each in errands if (row := self._row(session, each, SENT))]
            for each in about:
                row = session.get_one(Delivery, each.delivery_id)
                row.state, row.transaction_uid = ASKED, transaction_uid
                row.due_at = now + timedelta(seconds=seconds)
            if about:
                session.add(
                    CommitmentRequest(
                        transaction_uid=transaction_uid,
                        job_id=self._lease.job_id,
                        destination=about[0].destination,
                        sop_instance_uids=[each.sop_instance_uid for each in about],
                        state="asked",
                        asked_at=now,
                    )
                )
        return about

    def unasked(self, errands: Sequence[Errand], reason: str) -> None:
        """The request was not taken, or not answered in time: it is to be made again."""
        with self._store.writing() as session:
            for errand in errands:
                if row := self._row(session, errand, ASKED):
                    row.state = SENT
                    _postpone(row, reason, self._settings)

    def unreported(self, errand: Errand, reason: str) -> None:
        """No report came in time: ask again at once, and remember since when it fails."""
        with self._store.writing() as session:
            if row := self._row(session, errand, ASKED):
                row.state = SENT
                _postpone(row, reason, self._settings)
                row.due_at = None

    def close(
        self, unconfirmed: Collection[str], away: Mapping[str, tuple[datetime, str]]
    ) -> list[str] | None:
        """End a round: None when the job waits for another, else a sentence per failure.

        away: next try and reason of the destinations that failed, by name.
        """
        now = utc_now()
        with self._store.writing() as session:
            job = hold(session, self._lease)
            rows = session.scalars(_of(job)).all()
            open_rows = [row for row in rows if _is_open(row, unconfirmed)]
            for row in open_rows:
                self._give_up(row, now)
            waiting = [row for row in open_rows if row.state in _UNFINISHED]
            if not waiting:
                return sorted({row.error or "" for row in rows if row.state in (REFUSED, DEAD)})
            next_try = min(_next_try(row, away, now) for row in waiting)
            reason = "; ".join(sorted({_reason(row) for row in waiting}))
            wait_until(session, job, max(next_try, now + _SHORTEST_WAIT), reason)
            return None

    def _give_up(self, row: Delivery, now: datetime) -> None:
        limit = self._settings.retry_give_up_seconds
        if (now - (row.failing_since or now)).total_seconds() > limit:
            row.state, row.due_at = DEAD, None
            row.error = f"given up after {limit:.0f} s: {row.error}"

    def _row(self, session: Session, errand: Errand, *states: str) -> Delivery | None:
        hold(session, self._lease)
        row = session.get_one(Delivery, errand.delivery_id)
        return row if row.state in states else None


def _errand(delivery: Delivery, result: Result) -> Errand:
    return Errand(
        delivery_id=delivery.id,
        destination=delivery.destination,
        path=result.path,
        state=delivery.state,
        sop_class_uid=result.sop_class_uid,
        sop_instance_uid=result.sop_instance_uid,
    )


def _is_final(row: Delivery, unconfirmed: Collection[str]) -> bool:
    return row.state == SENT and row.destination in unconfirmed


def _is_open(row: Delivery, unconfirmed: Collection[str]) -> bool:
    return row.state in _UNFINISHED and not _is_final(row, unconfirmed)


def _of(job: Job) -> Select[Delivery]:
    return select(Delivery).join(Result).where(Result.job_id == job.id)


def _heal(row: Delivery) -> None:
    row.error = row.failing_since = row.due_at = None
    row.failures = 0


def _postpone(row: Delivery, reason: str, settings: Settings) -> None:
    now = utc_now()
    row.failures += 1
    row.failing_since = row.failing_since or now
    row.error = reason
    row.due_at = now + pause(row.failures, settings)


def _next_try(row: Delivery, away: Mapping[str, Any], now: datetime) -> datetime:
    due: datetime = away[row.destination][0] if row.destination in away else now
    return max(row.due_at or now, due)


def _reason(row: Delivery) -> str:
    if row.error is None and row.state == ASKED:
        return f"{row.destination}: Storage Commitment is asked for"
    return row.error or f"{row.destination}: not delivered yet"
