"""The rows of prior retrieval: made with the revision, claimed by one, tried again, given up.

In: a completed study, or the end of a try. Out: `PriorRequest` rows and timeline lines. What must
hold: of several sweepers one works on a row; whoever was silent for longer than the lease has lost
it and can no longer write; a row outlives every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from node.backoff import plain_pause
from node.errors import LeaseLostError
from node.job import record, utc_now
from node.lease import renewed
from node.priors.rules import PriorRule
from node.settings import Settings
from node.store.session import Store, changed_one, insert_for
from node.store.tables import Instance, PriorRequest, Study

WAITING, DONE, FAILED = "waiting", "done", "failed"


@dataclass(frozen=True, slots=True)
class Errand:
    """The right to work on one request for a while; `attempt` is its fencing token."""

    request_id: int
    attempt: int
    study_uid: str
    rule: str


def request_priors(
    session: Session, study: Study, members: Iterable[Instance], rules: Sequence[PriorRule]
) -> None:
    """Ask for what the rules want, in the transaction that completes the study; once a rule.

    `members`: the study's instances that a modality sent, no priors among them.
    """
    facts = [member.attributes for member in members]
    for rule in rules:
        if any(rule.wants(attributes) for attributes in facts):
            _request(session, study, rule)


def claim(store: Store, rules: Iterable[str], settings: Settings) -> Errand | None:
    """Take the request that is due longest among those of these rules, or None."""
    now = utc_now()
    with store.reading() as session:
        row = session.scalar(
            select(PriorRequest)
            .where(PriorRequest.state == WAITING, PriorRequest.due_at <= now)
            .where(PriorRequest.rule.in_(list(rules)))
            .order_by(PriorRequest.due_at)
            .limit(1)
        )
    if row is None:
        return None
    errand = Errand(row.id, row.attempts + 1, row.study_uid, row.rule)
    with store.writing() as session:
        taken = changed_one(
            session,
            update(PriorRequest)
            .where(PriorRequest.id == row.id, PriorRequest.state == WAITING)
            .where(PriorRequest.attempts == row.attempts, PriorRequest.due_at <= now)
            .values(attempts=errand.attempt, due_at=_lease_end(settings)),
        )
    return errand if taken else None


@contextmanager
def kept(store: Store, errand: Errand, settings: Settings) -> Iterator[None]:
    """Renew the claim in the background for the length of a block."""

    def renew_claim() -> None:
        renew(store, errand, settings)

    with renewed(renew_claim, settings, {"request": errand.request_id}):
        yield


def renew(store: Store, errand: Errand, settings: Settings) -> None:
    """Keep the claim. Raises LeaseLostError."""
    with store.writing() as session:
        _write(session, errand, due_at=_lease_end(settings))


def note_found(store: Store, errand: Errand, study_uids: Sequence[str]) -> None:
    """Keep what the archive lists. Raises LeaseLostError."""
    with store.writing() as session:
        _write(session, errand, found=list(study_uids))


def finish(store: Store, errand: Errand, studies: int, instances: int) -> None:
    """All that was found is here. Raises LeaseLostError."""
    with store.writing() as session:
        _write(session, errand, state=DONE, error=None, failing_since=None)
        counted = f"{_count(studies, 'study', 'studies')}, {_count(instances, 'new instance')}"
        text = f"{counted} (rule {errand.rule})"
        _tell(session, errand, "prior found", text)


def fail(store: Store, errand: Errand, reason: str) -> None:
    """Trying again cannot help. Raises LeaseLostError."""
    with store.writing() as session:
        _fail(session, errand, reason)


def postpone(store: Store, errand: Errand, reason: str, settings: Settings) -> None:
    """Try again later; give up when it has been failing for too long. Raises LeaseLostError."""
    now = utc_now()
    with store.writing() as session:
        row = session.get_one(PriorRequest, errand.request_id)
        since = row.failing_since or now
        if (now - since).total_seconds() > settings.retry_give_up_seconds:
            _fail(session, errand, f"given up: {reason}")
            return
        told, due_at = row.error == reason, now + plain_pause(errand.attempt, settings)
        _write(session, errand, due_at=due_at, failing_since=since, error=reason)
        # A line for each new reason, not for each of the tries of a whole night.
        if not told:
            _tell(session, errand, "prior waits", f"{reason}; trying again")


def fail_unknown(store: Store, rules: Sequence[str]) -> None:
    """Fail what waits for a rule that is no longer configured; called when a sweeper starts."""
    orphans = select(PriorRequest).where(
        PriorRequest.state == WAITING, PriorRequest.rule.not_in(rules)
    )
    with store.reading() as session:
        if not session.scalars(orphans.limit(1)).all():
            return
    with store.writing() as session:
        for row in session.scalars(orphans.with_for_update()):
            row.state, row.error = FAILED, "the rule is no longer configured"
            errand = Errand(row.id, row.attempts, row.study_uid, row.rule)
            _tell(session, errand, "prior failed", f"{row.error} (rule {row.rule})")


def ask_again(session: Session, study_uid: str) -> int:
    """Give the failed requests of a study another chance; returns how many there were."""
    result: Any = session.execute(
        update(PriorRequest)
        .where(PriorRequest.study_uid == study_uid, PriorRequest.state == FAILED)
        .values(state=WAITING, due_at=utc_now(), failing_since=None, error=None)
    )
    return int(result.rowcount)


def _request(session: Session, study: Study, rule: PriorRule) -> None:
    made = session.scalar(
        insert_for(session, PriorRequest)
        .values(
            study_uid=study.study_uid,
            rule=rule.name,
            state=WAITING,
            attempts=0,
            due_at=utc_now(),
            found=[],
        )
        .on_conflict_do_nothing(index_elements=["study_uid", "rule"])
        .returning(PriorRequest.id)
    )
    if made is not None:
        text = f"from {rule.source}, rule {rule.name}"
        record(session, study.study_uid, study.revision, "prior requested", text)


def _fail(session: Session, errand: Errand, reason: str) -> None:
    _write(session, errand, state=FAILED, error=reason)
    _tell(session, errand, "prior failed", f"{reason} (rule {errand.rule})")


def _write(session: Session, errand: Errand, **values: Any) -> None:
    """Every write of a claim's owner goes through here (fencing). Raises LeaseLostError."""
    mine = (
        update(PriorRequest)
        .where(PriorRequest.id == errand.request_id, PriorRequest.state == WAITING)
        .where(PriorRequest.attempts == errand.attempt)
    )
    if not changed_one(session, mine.values(**values)):
        raise LeaseLostError(f"prior request {errand.request_id} belongs to another sweeper now")


def _tell(session: Session, errand: Errand, stage: str, text: str) -> None:
    revision = session.get_one(Study, errand.study_uid).revision
    record(session, errand.study_uid, revision, stage, text)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _lease_end(settings: Settings) -> datetime:
    return utc_now() + timedelta(seconds=settings.lease_seconds)
