"""Stage 3, when the deadline has passed: a study becomes the job of its next revision, or skipped.

In: the clock. Out: the messages to publish. What must hold: every image that has arrived belongs to
exactly one revision that is analysed after it; an image that arrives meanwhile moves the deadline,
and then nothing changes; whatever is wrong with one study holds up no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Exists, Update, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from node.job import (
    ACTIVE,
    FAILED,
    REMOVED,
    SKIPPED,
    Bell,
    brings_images,
    last_job,
    new_job,
    record,
    seize,
    show_state,
    utc_now,
    waits_for_archives,
)
from node.logs import log
from node.priors.requests import request_priors
from node.priors.rules import PriorRule
from node.rejection import heed_notes
from node.routes import PRIOR_ROUTE, SUPERFLUOUS, Routes
from node.store.session import Store, changed_one
from node.store.tables import Instance, Job, ModelRun, Study
from node.study import next_revision, view_of

# Until a study is looked at again that could not be completed.
_PUT_OFF_SECONDS = 60.0


def complete_due(
    store: Store,
    routes: Routes,
    now: datetime | None = None,
    priors: Sequence[PriorRule] = (),
) -> list[Bell]:
    """Turn every study whose deadline has passed into its next revision; publish what is returned.

    A study whose previous revision is still being worked on waits for it, unless that one only
    waits for an archive that is away: the others get the late image's results. `priors`: rules by
    which the study asks for earlier ones of its patient.
    """
    now = now or utc_now()
    with store.reading() as session:
        due = session.execute(
            select(Study.study_uid, Study.revision, Study.deadline_at)
            .where(Study.deadline_at <= now, ~_is_at_work())
            .order_by(Study.deadline_at)
        ).all()
    bells = []
    for study_uid, revision, deadline_at in due:
        try:
            bell = _complete(store, routes, priors, study_uid, revision, deadline_at)
        except Exception as error:  # noqa: BLE001  # a shell: no study may hold up the others
            log.exception("study not completed", extra={"study": study_uid})
            _put_off(store, study_uid, deadline_at, now, type(error).__name__)
        else:
            bells += [bell] if bell is not None else []
    return bells


def _is_at_work() -> Exists:
    """Whether the study's last job is, so that there is nothing to do, nor to lock, for now.

    Behind a backlog there may be thousands, which are looked at every second.
    """
    job, other = aliased(Job), aliased(Job)
    last = (
        select(func.max(other.revision))
        .where(other.study_uid == Study.study_uid, other.state != REMOVED)
        .correlate(Study)
        .scalar_subquery()
    )
    at_work = or_(job.lease_owner.is_not(None), job.due_at <= utc_now())
    return exists().where(
        job.study_uid == Study.study_uid, job.revision == last, job.state.in_(ACTIVE), at_work
    )


def _put_off(
    store: Store, study_uid: str, deadline_at: datetime | None, now: datetime, reason: str
) -> None:
    """Look at a study again later, and say why. Raises SQLAlchemyError."""
    error = f"it cannot be completed: unexpected {reason}; see the sweeper's log"
    with store.writing() as session:
        session.execute(
            update(Study)
            .where(Study.study_uid == study_uid)
            .where(Study.deadline_at == deadline_at)
            .values(deadline_at=now + timedelta(seconds=_PUT_OFF_SECONDS), error=error)
        )


def _complete(
    store: Store,
    routes: Routes,
    priors: Sequence[PriorRule],
    study_uid: str,
    revision: int,
    deadline_at: datetime | None,
) -> Bell | None:
    with store.writing() as session:
        last = last_job(session, study_uid)
        if last is not None and last.state in ACTIVE and not waits_for_archives(last):
            _join(session, routes, priors, last, deadline_at)
            return None
        # Of a study that somebody is writing to the next sweep is soon enough.
        one = select(Study.revision).where(Study.study_uid == study_uid)
        if session.scalar(one.with_for_update(skip_locked=True)) is None:
            return None
        # An image that arrived since the row was read has moved the deadline: then this changes
        # nothing and the next sweep looks again.
        following = next_revision(session.connection(), study_uid, revision)
        taken = _taken(study_uid, revision, deadline_at).values(revision=following)
        if not changed_one(session, taken):
            return None
        study = session.get_one(Study, study_uid)
        members = _assign(session, routes, priors, study)
        if last is not None and last.state != FAILED and not _brings_news(session, last, members):
            _keep_revision(session, study, revision, members)
            return None
        return _open_revision(session, study, members, last)


def _join(
    session: Session,
    routes: Routes,
    priors: Sequence[PriorRule],
    job: Job,
    deadline_at: datetime | None,
) -> None:
    """Give late images to a revision that brings none itself and waits for a model, maybe a day.

    A note that comes alone is heeded by every revision that waits.
    """
    late = _late_images(session, job.study_uid)
    if (late and brings_images(session, job)) or not seize(session, job):
        return
    if not changed_one(session, _taken(job.study_uid, job.revision, deadline_at)):
        return
    members = _assign(session, routes, priors, session.get_one(Study, job.study_uid))
    wanted = {member.sop_instance_uid for member in members if member.models}
    # Some models may have answered before another did not.
    job.model_runs = [run for run in job.model_runs if run.source_sop_uid in wanted]
    who = "late images join" if late else "a rejection note joins"
    text = f"{who}, {len(members)} instances now"
    record(session, job.study_uid, job.revision, job.state, text)


def _late_images(session: Session, study_uid: str) -> bool:
    """Whether models want an image that waits for the next revision."""
    waiting = select(Instance.models).where(
        Instance.study_uid == study_uid, Instance.conflict.is_(False), Instance.revision.is_(None)
    )
    return any(session.scalars(waiting))


def _taken(study_uid: str, revision: int, deadline_at: datetime | None) -> Update:
    """Takes what waits, while the study's row is as it was read."""
    return (
        update(Study)
        .where(Study.study_uid == study_uid)
        .where(Study.revision == revision, Study.deadline_at == deadline_at)
        .values(deadline_at=None, hard_deadline_at=None)
    )


def _brings_news(session: Session, last: Job, members: Sequence[Instance]) -> bool:
    """Whether models look at other images than in the last job: at more, or not at all of them."""
    runs = select(ModelRun.source_sop_uid).where(ModelRun.job_id == last.id).distinct()
    return set(session.scalars(runs)) != {
        member.sop_instance_uid for member in members if member.models
    }


def _keep_revision(
    session: Session, study: Study, revision: int, members: Sequence[Instance]
) -> None:
    """Nothing that came late is analysed: no new results, which would be those of before."""
    late = [member for member in members if member.revision == study.revision]
    study.revision = revision
    for member in late:
        member.revision = revision
    session.flush()
    show_state(session, study.study_uid)
    record(session, study.study_uid, revision, "late object", skip_reason(late))


def _open_revision(
    session: Session, study: Study, members: Sequence[Instance], last: Job | None
) -> Bell | None:
    if any(member.models for member in members):
        return new_job(session, study, f"complete with {len(members)} instances")
    if last is not None:
        # What was sent before is taken back where destinations say so.
        return new_job(session, study, "no image is left to analyse")
    study.error = skip_reason(members)
    show_state(session, study.study_uid)
    record(session, study.study_uid, study.revision, SKIPPED, study.error)
    return None


def _assign(
    session: Session, routes: Routes, priors: Sequence[PriorRule], study: Study
) -> Sequence[Instance]:
    """Give what has come to the study's revision; returns all that this revision covers."""
    session.execute(
        update(Instance)
        .where(Instance.study_uid == study.study_uid, Instance.revision.is_(None))
        .values(revision=study.revision)
    )
    members = session.scalars(
        select(Instance)
        .where(Instance.study_uid == study.study_uid, Instance.conflict.is_(False))
        .order_by(Instance.id)
    ).all()
    heed_notes(members, routes)
    leave_out_superfluous(members, routes)
    # Reception does not write this for each image. A study of twins alone has none.
    study.last_instance_at = max(
        (member.received_at for member in members), default=study.last_instance_at
    )
    session.flush()
    sent = [member for member in members if member.route != PRIOR_ROUTE]
    request_priors(session, study, sent, priors)
    return members


def leave_out_superfluous(members: Sequence[Instance], routes: Routes) -> None:
    """Take the models from an image whose better twin (`only_without`) is in the study.

    Images that do not say which breast or view they show are twins only where each has one.
    """
    views = Counter((member.route, view_of(member.attributes)) for member in members)
    for member in members:
        better, view = routes.only_without(member.route), view_of(member.attributes)
        needed = 1 if all(view.split("-")) else views[member.route, view]
        if better and member.models and views[better, view] >= needed:
            member.models = []
            member.skip_reason = f"{SUPERFLUOUS} '{better}'"


def skip_reason(members: Sequence[Instance]) -> str:
    """Why nothing of a study is analysed, one sentence per distinct reason."""
    reasons = sorted({member.skip_reason or "no model applies" for member in members})
    return "; ".join(reasons) or "every object conflicts with an earlier one of the same UID"
