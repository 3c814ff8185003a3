"""Between the values of the stages and the rows of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy.orm import Session

from node.destinations import Destination, ResultKind, Variant
from node.job import Lease, instances_of, last_reported
from node.rejection import rejection_of
from node.store.deliveries import PENDING
from node.store.runs import AWAY, DECLINED, FAILED, SUCCEEDED
from node.store.session import Store
from node.store.tables import Delivery, Job, ModelRun, Result
from workers.findings import RunOutcome, from_row, to_row


@dataclass(frozen=True, slots=True)
class ImageWork:
    """One image and the models that have not looked at it yet."""

    sop_instance_uid: str
    instance_id: int
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenResult:
    """One encoded object, durable on disk."""

    kind: ResultKind
    variant: Variant
    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str
    source_sop_uid: str | None
    path: str
    size_bytes: int

    def row(self) -> Result:
        """The row of the object, not yet attached to its job."""
        return Result(**asdict(self))


def images_to_do(store: Store, lease: Lease) -> list[ImageWork]:
    """What is left of a job; an image counts as done when all of its models have a run."""
    with store.reading() as session:
        job = session.get_one(Job, lease.job_id)
        done = {(run.source_sop_uid, run.model) for run in job.model_runs}
        todo = [
            (instance, left)
            for instance in instances_of(session, job)
            if (left := _left(instance.sop_instance_uid, instance.models, done))
        ]
    return [ImageWork(instance.sop_instance_uid, instance.id, left) for instance, left in todo]


def store_outcomes(session: Session, job: Job, outcomes: Sequence[RunOutcome]) -> None:
    """Write the runs of one image, findings included."""
    for outcome in outcomes:
        run = ModelRun(
            source_sop_uid=outcome.source_sop_uid,
            model=outcome.model,
            model_version=outcome.model_version,
            state=_state(outcome),
            error=outcome.error,
            seconds=outcome.seconds,
            probabilities=dict(outcome.probabilities),
        )
        run.findings = [to_row(finding) for finding in outcome.findings]
        job.model_runs.append(run)
    # Of a large study each worker may do a part and be ended; this image kills none.
    job.crashes = 0
    if not any(outcome.away for outcome in outcomes):
        job.failing_since = None


def outcome_of(run: ModelRun) -> RunOutcome:
    """The value that `store_outcomes` wrote."""
    return RunOutcome(
        model=run.model,
        model_version=run.model_version,
        source_sop_uid=run.source_sop_uid,
        error=run.error,
        seconds=run.seconds,
        findings=tuple(from_row(row, run) for row in run.findings),
        probabilities=run.probabilities,
        declined=run.state == DECLINED,
        away=run.state == AWAY,
    )


def nothing_to_report(session: Session, job: Job) -> str | None:
    """Why a job has no results: every model declined every image, or every image is rejected.

    None when at least one run was made or failed, and when results of earlier revisions are to be
    taken back.
    """
    if not is_withdrawal(job):
        return None
    taken_back = not job.model_runs or rejections(session, job)
    if taken_back and last_reported(session, job.study_uid) is not None:
        return None
    return why_nothing(session, job)


def is_withdrawal(job: Job) -> bool:
    """Whether no model has a word on any image: then a job can only take back earlier results."""
    return all(run.state == DECLINED for run in job.model_runs)


def rejections(session: Session, job: Job) -> set[str]:
    """Why images of a job are rejected."""
    return {why for each in instances_of(session, job) if (why := rejection_of(each)) is not None}


def why_nothing(session: Session, job: Job) -> str:
    """The sentence for a job of which no model has a word on any image."""
    declined = sorted({f"{run.model}: {run.error}" for run in job.model_runs})
    reasons = " or ".join(sorted(rejections(session, job)))
    if reasons:
        declined.insert(0, f"{'images are' if job.model_runs else 'every image is'} {reasons}")
    return "; ".join(declined) or "no image was left to analyse"


def add_results(
    session: Session,
    job: Job,
    results: Sequence[WrittenResult],
    destinations: Sequence[Destination],
) -> None:
    """Record the objects and open one delivery per destination that wants the form."""
    known = {result.sop_instance_uid for result in job.results}
    for written in results:
        if written.sop_instance_uid in known:
            continue
        row = written.row()
        row.deliveries = [
            Delivery(destination=destination.name, state=PENDING)
            for destination in destinations
            if (written.kind, written.variant) in destination.forms
        ]
        job.results.append(row)


def failure_summary(job: Job) -> tuple[list[str], bool]:
    """One sentence per run that gave nothing, and whether none gave anything."""
    without = [run for run in job.model_runs if run.state != SUCCEEDED]
    sentences = sorted({f"{run.model} {run.state}: {run.error}" for run in without})
    return sentences, bool(without) and len(without) == len(job.model_runs)


def _state(outcome: RunOutcome) -> str:
    if outcome.error is None:
        return SUCCEEDED
    if outcome.away:
        return AWAY
    return DECLINED if outcome.declined else FAILED


def _left(sop_uid: str, models: Sequence[str], done: set[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(model for model in models if (sop_uid, model) not in done)
