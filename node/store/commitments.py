"""Storage Commitment requests as rows: who may answer one, when, and how it ended.

    waiting -> reported | abandoned        a request that comes again is waiting again

What must hold: every move is one compare-and-set UPDATE. A row is answered by whoever claimed it,
under a lease; the number of the claim is its fencing token, so that a holder whose lease ran out
can no longer write, and no report is sent by two at once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from node.backoff import plain_pause
from node.job import utc_now
from node.settings import Settings
from node.store.session import Store, changed_one, insert_for
from node.store.tables import Commitment

WAITING, REPORTED, ABANDONED = "waiting", "reported", "abandoned"
STATES = (WAITING, REPORTED, ABANDONED)


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One item of a Referenced SOP Sequence (PS3.3 table 10-11)."""

    ReferencedSOPClassUID: str
    ReferencedSOPInstanceUID: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid request: nothing missing, no item twice."""

    TransactionUID: str
    items: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer one request for a while."""

    commitment_id: int
    attempt: int
    calling_ae_title: str
    asked: Asked
    requested_at: datetime
    # An older request has the same Transaction UID and asks for something else.
    transaction_in_use: bool


def keep_request(
    store: Store, asked: Asked, calling_ae_title: str, peer_host: str, settings: Settings
) -> Claim | None:
    """Commit a request, claimed for the caller; None when another process is just answering it.

    The same request again changes nothing but that it is answered once more: whoever asks twice
    has not got the answer.
    """
    now = utc_now()
    items = [[item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID] for item in asked.items]
    key = {
        "transaction_uid": asked.TransactionUID,
        "calling_ae_title": calling_ae_title,
        "items_sha256": hashlib.sha256(json.dumps(sorted(items)).encode()).hexdigest(),
    }
    row = key | {
        "peer_host": peer_host,
        "requested_at": now,
        "items": items,
        "state": WAITING,
        "attempts": 0,
        "due_at": now,
    }
    with store.writing() as session:
        session.execute(insert_for(session, Commitment).values(row).on_conflict_do_nothing())
        found = session.scalars(select(Commitment.id).filter_by(**key)).one()
        again = {"state": WAITING, "requested_at": now, "reported_at": None, "error": None}
        claim = _claimed(session, found, _free(now), settings, again)
        if claim is None:
            # The report may have gone before this came: `mark_reported` sees that it did.
            moved = update(Commitment).where(Commitment.id == found).values(requested_at=now)
            changed_one(session, moved)
        return claim


def due_titles(store: Store) -> list[str]:
    """AE titles that a report is due to, the longest waiting first."""
    now = utc_now()
    with store.reading() as session:
        return list(
            session.scalars(
                select(Commitment.calling_ae_title)
                .where(*_due(now))
                .group_by(Commitment.calling_ae_title)
                .order_by(func.min(Commitment.due_at))
            )
        )


def claim_due(store: Store, calling_ae_title: str, settings: Settings) -> Claim | None:
    """Claim the request of this AE that has waited longest; None when none is due and free."""
    now = utc_now()
    while True:
        with store.writing() as session:
            found = session.scalar(
                select(Commitment.id)
                .where(Commitment.calling_ae_title == calling_ae_title, *_due(now))
                .order_by(Commitment.due_at)
                .limit(1)
            )
            if found is None:
                return None
            claim = _claimed(session, found, and_(*_due(now)), settings)
        if claim is not None:  # else another sweeper was faster
            return claim


def renew(store: Store, claim: Claim, settings: Settings) -> bool:
    """Keep a claim; False when it is lost."""
    until = utc_now() + timedelta(seconds=settings.lease_seconds)
    with store.writing() as session:
        return _write(session, claim, {"lease_until": until})


def mark_reported(store: Store, claim: Claim) -> None:
    """The peer has confirmed the report; if it has asked again meanwhile another one is due."""
    now = utc_now()
    ended = {"state": REPORTED, "reported_at": now, "error": None, "lease_until": None}
    with store.writing() as session:
        if not _write(session, claim, ended, Commitment.requested_at == claim.requested_at):
            _write(session, claim, {"lease_until": None, "due_at": now})


def hand_back(store: Store, claim: Claim) -> None:
    """Give a claim back, due at once: another way to the peer is to be tried."""
    with store.writing() as session:
        _write(session, claim, {"lease_until": None, "due_at": utc_now()})


def postpone(store: Store, claim: Claim, reason: str, settings: Settings) -> str:
    """Give a claim back after a failure, or give the request up; returns the state it is in."""
    now = utc_now()
    tried_seconds = (now - claim.requested_at).total_seconds()
    state = ABANDONED if tried_seconds > settings.retry_give_up_seconds else WAITING
    again = {"state": state, "error": reason, "lease_until": None}
    with store.writing() as session:
        _write(session, claim, again | {"due_at": now + plain_pause(claim.attempt, settings)})
    return state


def _due(now: datetime) -> tuple[Any, ...]:
    return (Commitment.state == WAITING, Commitment.due_at <= now, _free(now))


def _free(now: datetime) -> Any:
    return or_(Commitment.lease_until.is_(None), Commitment.lease_until < now)


def _claimed(
    session: Session,
    commitment_id: int,
    condition: Any,
    settings: Settings,
    more: dict[str, Any] | None = None,
) -> Claim | None:
    until = utc_now() + timedelta(seconds=settings.lease_seconds)
    values = {"attempts": Commitment.attempts + 1, "lease_until": until} | (more or {})
    statement = update(Commitment).where(Commitment.id == commitment_id, condition).values(values)
    if not changed_one(session, statement):
        return None
    older = aliased(Commitment)
    row, in_use = session.execute(
        select(
            Commitment,
            exists().where(
                older.transaction_uid == Commitment.transaction_uid, older.id < Commitment.id
            ),
        ).where(Commitment.id == commitment_id)
    ).one()
    items = tuple(Reference(*item) for item in row.items)
    asked = Asked(row.transaction_uid, items)
    return Claim(row.id, row.attempts, row.calling_ae_title, asked, row.requested_at, in_use)


def _write(session: Session, claim: Claim, values: dict[str, Any], *conditions: Any) -> bool:
    held = (
        Commitment.id == claim.commitment_id,
        Commitment.state == WAITING,
        Commitment.attempts == claim.attempt,
        *conditions,
    )
    return changed_one(session, update(Commitment).where(*held).values(values))
