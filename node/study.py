"""Stage 3: when a study is complete, which revision an image belongs to, and which models apply.

In: one registered instance, or the clock. Out: a study row with a deadline, and, when the deadline
passes, a job on the next revision (or the state `skipped` with the reason).

No signal in DICOM says that a study is complete, so each image that some model wants moves a
deadline kept in the database: quiet time after the last image, never later than a hard cap after
the first, and soon once all expected views are in. An image that comes after completion opens the
next revision in the same way. Objects that no model wants never re-open a study.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from node.job import (
    ACTIVE,
    RECEIVING,
    SKIPPED,
    Bell,
    last_job,
    new_job,
    record,
    show_state,
    utc_now,
)
from node.routes import Routes
from node.settings import Settings
from node.store.session import Store, insert_for
from node.store.tables import Instance, Study


def open_study(session: Session, study_uid: str, now: datetime) -> Study:
    """The study's row, made if missing, locked until the transaction ends.

    It is locked before the instance is inserted: the foreign key takes a share lock on it, and two
    receivers that both hold the share and want the row for themselves would deadlock.
    """
    session.execute(
        insert_for(session, Study)
        .values(
            study_uid=study_uid,
            state=RECEIVING,
            revision=0,
            first_instance_at=now,
            last_instance_at=now,
        )
        .on_conflict_do_nothing()
    )
    return session.get_one(Study, study_uid, with_for_update=True)


def register(session: Session, study: Study, instance: Instance, settings: Settings) -> None:
    """Count a new instance in and move the study's deadline, in the instance's transaction."""
    now = instance.received_at
    study.last_instance_at = now
    wanted = bool(instance.models) and not instance.conflict
    if not wanted and study.revision > 0:
        instance.revision = study.revision
        record(session, study.study_uid, study.revision, "late object", instance.route)
        return
    if study.deadline_at is None:
        study.hard_deadline_at = now + timedelta(seconds=settings.study_max_seconds)
        record(session, study.study_uid, study.revision + 1, RECEIVING, "first image")
    hard = study.hard_deadline_at or now
    session.flush()
    study.deadline_at = min(now + _quiet_time(session, study.study_uid, settings), hard)
    show_state(session, study.study_uid)


def complete_due(store: Store, routes: Routes, now: datetime | None = None) -> list[Bell]:
    """Turn every study whose deadline has passed into its next revision; publish what is returned.

    A study whose previous revision is still being worked on waits for it.
    """
    now = now or utc_now()
    with store.reading() as session:
        due = session.execute(
            select(Study.study_uid, Study.revision, Study.deadline_at).where(
                Study.deadline_at <= now
            )
        ).all()
    bells = [_complete(store, routes, *row) for row in due]
    return [bell for bell in bells if bell is not None]


def _complete(
    store: Store, routes: Routes, study_uid: str, revision: int, deadline_at: datetime | None
) -> Bell | None:
    with store.writing() as session:
        last = last_job(session, study_uid)
        if last is not None and last.state in ACTIVE:
            return None
        # An image that arrived since the row was read has moved the deadline: then this changes
        # nothing and the next sweep looks again.
        moved = session.execute(
            update(Study)
            .where(Study.study_uid == study_uid)
            .where(Study.revision == revision, Study.deadline_at == deadline_at)
            .values(revision=revision + 1, deadline_at=None, hard_deadline_at=None)
        )
        if moved.rowcount != 1:  # type: ignore[attr-defined]  # Result of an UPDATE is a CursorResult
            return None
        return _open_revision(session, routes, session.get_one(Study, study_uid))


def _open_revision(session: Session, routes: Routes, study: Study) -> Bell | None:
    session.execute(
        update(Instance)
        .where(Instance.study_uid == study.study_uid, Instance.revision.is_(None))
        .values(revision=study.revision)
    )
    members = session.scalars(
        select(Instance).where(Instance.study_uid == study.study_uid, Instance.conflict.is_(False))
    ).all()
    leave_out_superfluous(members, routes)
    session.flush()
    if any(member.models for member in members):
        return new_job(session, study, f"complete with {len(members)} instances")
    study.error = skip_reason(members)
    show_state(session, study.study_uid)
    record(session, study.study_uid, study.revision, SKIPPED, study.error)
    return None


def leave_out_superfluous(members: Sequence[Instance], routes: Routes) -> None:
    """Take the models from an image whose better twin (`only_without`) is in the study."""
    views = {(member.route, *_view_of(member)) for member in members}
    for member in members:
        better = routes.only_without(member.route)
        if better and member.models and (better, *_view_of(member)) in views:
            member.models = []
            member.skip_reason = f"the same view is analysed as '{better}'"


def skip_reason(members: Sequence[Instance]) -> str:
    """Why nothing of a study is analysed, one sentence per distinct reason."""
    reasons = sorted({member.skip_reason or "no model applies" for member in members})
    return "; ".join(reasons) or "every object conflicts with an earlier one of the same UID"


def _quiet_time(session: Session, study_uid: str, settings: Settings) -> timedelta:
    expected = set(settings.study_expected_views)
    present = session.scalars(
        select(Instance).where(Instance.study_uid == study_uid, Instance.conflict.is_(False))
    )
    views = {"-".join(_view_of(instance)) for instance in present if instance.models}
    ready = bool(expected) and expected <= views
    return timedelta(
        seconds=settings.study_ready_seconds if ready else settings.study_quiet_seconds
    )


def _view_of(instance: Instance) -> tuple[str, str]:
    facts = instance.attributes
    laterality = facts.get("ImageLaterality") or facts.get("Laterality") or ""
    return str(laterality), str(facts.get("ViewPosition") or "")
