"""Stage 3: when a study will be complete, and which revision an image belongs to.

In: registered instances. Out: a study row with a deadline; what follows when it passes is told in
`completion`.

No signal in DICOM says that a study is complete, so each image that some model wants moves a
deadline kept in the database: quiet time after the last image, never later than a hard cap after
the first, and soon once all expected views are in. An image that comes after completion opens the
next revision in the same way, and so does a note that rejects one. Other objects never re-open a
study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Update, bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from node.header import STUDY_KEYS
from node.job import (
    RECEIVING,
    REMOVED,
    SKIPPED,
    record,
    show_state,
)
from node.rejection import recalls
from node.settings import Settings
from node.store.statements import Statement, insert_missing
from node.store.tables import Event, Job, Study

# Begins the view of an image that is only looked at where a better one does not come.
_STANDS_IN = "?"
PRIOR_REASON = "prior study, kept for comparison"
# Objects in which one of these differs are not of one person, or one of them is wrong.
_PERSON = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a study needs to know of one instance that is recorded now."""

    route: str
    # Some model wants it, and it is not the twin of a known instance with other content.
    wanted: bool
    # Fetched by this node for comparison.
    prior: bool
    # As `view_of` says it.
    view: str
    # Kept apart from another of its SOP Instance UID, of which there is a word in the timeline.
    apart: bool = False
    # Of its row: what it takes back, where it is a rejection note.
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registered:
    """What `register` says of a study."""

    # Of each instance; None for those that wait for the next one.
    revisions: list[int | None]
    # When its first instance came: another time once retention has removed it in between.
    first_instance_at: datetime


def register(
    connection: Connection,
    study_uid: str,
    identity: Mapping[str, str],
    arrived: Sequence[Arrived],
    settings: Settings,
    now: datetime,
) -> Registered:
    """Count new instances in and move the study's deadline, in the instances' transaction.

    `identity`: the values of `STUDY_KEYS`; what the study's row lacks of them is written there.
    """
    study = _locked(connection, study_uid, identity, now)
    waiting = [_waits(connection, study_uid, each, study.revision) for each in arrived]
    if any(waiting):
        _move_deadline(connection, study_uid, study, arrived, settings, now)
    elif study.revision == 0 and study.deadline_at is None:
        connection.execute(_of(study_uid).values(error=PRIOR_REASON, last_instance_at=now))
    late = [
        each for each, waits in zip(arrived, waiting, strict=True) if not waits and not each.prior
    ]
    if late:
        connection.execute(_of(study_uid).values(last_instance_at=now))
        _tell_late(connection, study_uid, study.revision, late)
    revisions = [None if waits else study.revision for waits in waiting]
    return Registered(revisions, study.first_instance_at)


def _tell_late(
    connection: Connection, study_uid: str, revision: int, late: Sequence[Arrived]
) -> None:
    """A line of the timeline for objects that came late and are not analysed.

    One for all that follow each other by the same rule: an archive may send back a study's results.
    """
    last = _LAST_EVENT.rows(connection, uid=study_uid)
    said = last[0] if last else None
    with Session(connection) as session:
        for each in late:
            text = f"kept, not analysed: {each.route}"
            if each.apart or said == (revision, "late object", text):
                continue
            said = (revision, "late object", text)
            record(session, study_uid, *said)
        session.flush()


@dataclass(frozen=True, slots=True)
class _Locked:
    """What a study's row says while it is locked."""

    revision: int
    deadline_at: datetime | None
    hard_deadline_at: datetime | None
    views: list[str]
    state: str
    first_instance_at: datetime


def _waits(connection: Connection, study_uid: str, arrived: Arrived, revision: int) -> bool:
    """Whether an instance waits for the next revision: in a first one everything does."""
    if arrived.prior:
        return False
    if arrived.wanted or revision == 0:
        return True
    return not arrived.apart and recalls(connection, study_uid, arrived.attributes)


def _move_deadline(
    connection: Connection,
    study_uid: str,
    study: _Locked,
    arrived: Sequence[Arrived],
    settings: Settings,
    now: datetime,
) -> None:
    views = set(study.views) | {each.view for each in arrived if each.wanted}
    hard = study.hard_deadline_at or now + timedelta(seconds=settings.study_max_seconds)
    ready = _are_in(set(settings.study_expected_views), views)
    quiet = settings.study_ready_seconds if ready else settings.study_quiet_seconds
    deadline = min(now + timedelta(seconds=quiet), hard)
    if len(views) == len(study.views) and _is_near(study.deadline_at, deadline, quiet):
        return
    values = {
        "uid": study_uid,
        "deadline_at": deadline,
        "hard_deadline_at": hard,
        "views": sorted(views),
        "last_instance_at": now,
    }
    if study.deadline_at is not None:
        _MOVE.run(connection, [values])
    elif study.revision == 0:
        # It has no job yet: what `show_state` would look for. Every study begins here.
        _BEGIN.run(connection, [values | {"state": RECEIVING}])
        first = next_revision(connection, study_uid, 0) if study.state == REMOVED else 1
        event = {"study_uid": study_uid, "revision": first, "at": now}
        _EVENT.run(connection, [event | {"stage": RECEIVING, "text": "first image"}])
    else:
        _MOVE.run(connection, [values])
        with Session(connection) as session:
            text = "first image" if any(each.wanted for each in arrived) else "rejection note"
            record(session, study_uid, study.revision + 1, RECEIVING, text)
            session.flush()
            show_state(session, study_uid)
            session.flush()


def _are_in(expected: set[str], views: set[str]) -> bool:
    """Whether all expected views are there; images that stand in count where no better one came.

    A device sends the raw image of the last view many seconds before the one for people.
    """
    stand_ins = {view for view in expected if f"{_STANDS_IN}{view}" in views}
    return bool(expected) and expected <= ((views & expected) or stand_ins)


def _is_near(deadline_at: datetime | None, moved: datetime, quiet_seconds: float) -> bool:
    """Whether moving the deadline would change it by less than a fiftieth of the quiet time.

    Not writing the study's row for each of a thousand images halves what they cost.
    """
    if deadline_at is None:
        return False
    return abs((moved - deadline_at).total_seconds()) < quiet_seconds / 50


def _update(*columns: str) -> Statement:
    values = {name: bindparam(name, type_=Study.__table__.c[name].type) for name in columns}
    return Statement(
        update(Study).where(Study.__table__.c.study_uid == bindparam("uid")).values(values)
    )


_DEADLINE = ("deadline_at", "hard_deadline_at", "views", "last_instance_at")
_MOVE, _BEGIN = _update(*_DEADLINE), _update(*_DEADLINE, "state")
_RETURN = _update("state", "first_instance_at", "last_instance_at", *STUDY_KEYS)
_EVENT = Statement(
    insert(Event).values(
        {name: bindparam(name) for name in ("study_uid", "revision", "at", "stage", "text")}
    )
)
_LAST_EVENT = Statement(
    select(Event.__table__.c.revision, Event.__table__.c.stage, Event.__table__.c.text).where(
        Event.__table__.c.id
        == select(func.max(Event.__table__.c.id))
        .where(Event.__table__.c.study_uid == bindparam("uid"))
        .scalar_subquery()
    )
)
_INSERT = insert_missing(
    Study,
    (
        *("study_uid", "state", "revision", "first_instance_at", "last_instance_at", "views"),
        *STUDY_KEYS,
    ),
)
_STUDY = Statement(
    select(
        *(
            Study.__table__.c[name]
            for name in (
                *("revision", "deadline_at", "hard_deadline_at", "views"),
                *("state", "first_instance_at", *STUDY_KEYS),
            )
        )
    )
    .where(Study.__table__.c.study_uid == bindparam("uid"))
    .with_for_update()
)


def _locked(
    connection: Connection, study_uid: str, identity: Mapping[str, str], now: datetime
) -> _Locked:
    """The study's row, made if missing, locked until the transaction ends.

    It is locked before the instances are inserted: the foreign key takes a share lock on it, and
    two receivers that both hold the share and want the row for themselves would deadlock.
    """
    found = _STUDY.rows(connection, uid=study_uid)
    if not found:
        new = {
            "study_uid": study_uid,
            "state": SKIPPED,
            "revision": 0,
            "first_instance_at": now,
            "last_instance_at": now,
            "views": [],
        }
        _INSERT.run(connection, [new | dict(identity)])
        found = _STUDY.rows(connection, uid=study_uid)
    state, has = found[0][: -len(STUDY_KEYS)], found[0][-len(STUDY_KEYS) :]
    study = _Locked(*state)
    if study.state == REMOVED:
        return _returned(connection, study_uid, study, identity, now)
    known = dict(zip(STUDY_KEYS, has, strict=True))
    whole = joined_identity([known, identity])
    if whole != known:
        connection.execute(_of(study_uid).values(whole))
    return study


def joined_identity(identities: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The first, with what it lacks from the others: a first object may come without Patient ID.

    Nothing is taken from an object that says something else of the patient.
    """
    joined = dict(identities[0])
    for identity in identities[1:]:
        if all(identity[key] in ("", joined[key]) or not joined[key] for key in _PERSON):
            joined |= {key: value for key, value in identity.items() if not joined[key]}
    return joined


def _returned(
    connection: Connection,
    study_uid: str,
    study: _Locked,
    identity: Mapping[str, str],
    now: datetime,
) -> _Locked:
    """Begin anew with a study that retention removed: of what was there only jobs are left."""
    begun = {"state": SKIPPED, "first_instance_at": now, "last_instance_at": now}
    _RETURN.run(connection, [{"uid": study_uid} | begun | dict(identity)])
    event = {"study_uid": study_uid, "revision": 0, "at": now}
    _EVENT.run(connection, [event | {"stage": RECEIVING, "text": "stored again after removal"}])
    return replace(study, first_instance_at=now)


def _of(study_uid: str) -> Update:
    return update(Study).where(Study.study_uid == study_uid)


def view_of(attributes: Mapping[str, Any], stands_in: bool = False) -> str:
    """Laterality and view of an image, e.g. "L-CC"; "?L-CC" of one that stands in for a better."""
    laterality = attributes.get("ImageLaterality") or attributes.get("Laterality") or ""
    view = f"{laterality}-{attributes.get('ViewPosition') or ''}"
    return f"{_STANDS_IN}{view}" if stands_in else view


def next_revision(connection: Connection, study_uid: str, revision: int) -> int:
    """One more than any before it: archives still have the results of a study that was removed."""
    last = connection.scalar(select(func.max(Job.revision)).where(Job.study_uid == study_uid))
    return max(revision, last or 0) + 1
