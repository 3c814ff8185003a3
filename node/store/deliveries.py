"""The states of a delivery, and what a Storage Commitment report makes of them.

    pending -> sent -> confirmed                   by QIDO-RS or C-FIND; `sent` is the end where
       ^         |                                 nothing confirms
       |         `-> asked -> confirmed            by Storage Commitment
       `-----------------'                         not committed, or not listed: sent again
    any of them -> refused                         by the archive, for good
                -> dead                            given up; `sentinode retry` sends it again
                -> replaced                        a later revision's objects took its place there

What must hold: whoever writes a delivery has locked its job's row before, the delivering worker by
its lease, the report here; so neither overwrites what the other has just written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from node.backoff import pause
from node.job import REMOVED
from node.settings import Settings
from node.store.tables import CommitmentRequest, Delivery, Job, Result

PENDING, SENT, ASKED = "pending", "sent", "asked"
CONFIRMED, REFUSED, DEAD, REPLACED = "confirmed", "refused", "dead", "replaced"
# A person may still have these brought to their end.
OPEN = (PENDING, ASKED, REFUSED, DEAD)
STATES = (PENDING, SENT, ASKED, CONFIRMED, REFUSED, DEAD, REPLACED)

# PS3.3 C.14.1.1, Failure Reason.
NO_SUCH_OBJECT_INSTANCE = 0x0112
_CLASS_INSTANCE_CONFLICT = 0x0119
_SOP_CLASS_NOT_SUPPORTED = 0x0122
_DUPLICATE_TRANSACTION_UID = 0x0131
_REASONS = {
    0x0110: "processing failure",
    NO_SUCH_OBJECT_INSTANCE: "no such object instance",
    0x0213: "resource limitation",
    _SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
    _CLASS_INSTANCE_CONFLICT: "class/instance conflict",
    _DUPLICATE_TRANSACTION_UID: "duplicate Transaction UID",
}
_FINAL_REASONS = {_CLASS_INSTANCE_CONFLICT, _SOP_CLASS_NOT_SUPPORTED}


@dataclass(frozen=True, slots=True)
class Report:
    """What an archive says of one Storage Commitment request."""

    TransactionUID: str
    # SOP Instance UIDs that it has taken responsibility for.
    committed: Collection[str]
    # Failure Reason by SOP Instance UID; None where it gave none.
    failed: Mapping[str, int | None]


def studies_with_dead_letters(session: Session, destination: str) -> list[str]:
    """Study Instance UIDs of whose last revision something was refused or given up there."""
    newest = select(func.max(Job.id)).group_by(Job.study_uid)
    return list(
        session.scalars(
            select(Job.study_uid)
            .join(Result)
            .join(Delivery)
            .where(Job.id.in_(newest), Delivery.destination == destination)
            .where(Delivery.state.in_((REFUSED, DEAD)), Job.state != REMOVED)
            .distinct()
            .order_by(Job.study_uid)
        )
    )


def known_destinations(session: Session) -> list[str]:
    """Names of all destinations that a result was meant for, sorted."""
    return list(session.scalars(select(Delivery.destination).distinct().order_by("destination")))


def settle(session: Session, report: Report, now: datetime, settings: Settings) -> bool:
    """Write a report to its deliveries and make their job due; False for an unknown transaction.

    A report that comes again, or late, after the request was repeated, changes nothing but what
    still waits.
    """
    request = session.get(CommitmentRequest, report.TransactionUID)
    if request is None:
        return False
    # The job's row first: see the module's docstring.
    due = update(Job).where(Job.id == request.job_id, Job.state == "delivering")
    session.execute(due.values(due_at=now, rung_at=None))
    for delivery, sop_instance_uid in _waiting(session, request):
        if sop_instance_uid in report.committed:
            delivery.state, delivery.confirmed_at = CONFIRMED, now
            delivery.error = delivery.failing_since = delivery.due_at = None
        elif sop_instance_uid in report.failed and _waits_for(delivery, request):
            _not_committed(delivery, report.failed[sop_instance_uid], now, settings)
    request.state, request.reported_at = "reported", now
    request.error = _summary(report)
    return True


def _waits_for(delivery: Delivery, request: CommitmentRequest) -> bool:
    return delivery.state == ASKED and delivery.transaction_uid == request.transaction_uid


def _waiting(session: Session, request: CommitmentRequest) -> list[tuple[Delivery, str]]:
    rows = session.execute(
        select(Delivery, Result.sop_instance_uid)
        .join(Result)
        .where(Result.job_id == request.job_id, Delivery.destination == request.destination)
        .where(Delivery.state.in_((PENDING, SENT, ASKED)), Delivery.sent_at.is_not(None))
        .execution_options(populate_existing=True)
    )
    return [(delivery, uid) for delivery, uid in rows]


def _not_committed(
    delivery: Delivery, reason: int | None, now: datetime, settings: Settings
) -> None:
    text = _REASONS.get(reason or 0, "no reason known to the standard")
    code = "" if reason is None else f" (0x{reason:04X})"
    delivery.error = f"{delivery.destination}: not committed: {text}{code}"
    if reason in _FINAL_REASONS:
        delivery.state = REFUSED
        return
    delivery.failures += 1
    delivery.failing_since = delivery.failing_since or now
    delivery.due_at = now + pause(delivery.failures, settings)
    # Only a request that was wrong in itself says nothing about the object.
    delivery.state = SENT if reason == _DUPLICATE_TRANSACTION_UID else PENDING


def _summary(report: Report) -> str | None:
    if not report.failed:
        return None
    return f"{len(report.failed)} of {len(report.failed) + len(report.committed)} not committed"
