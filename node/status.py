"""The status of one study as one JSON object: what `sentinode status` and the web API return."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from node.errors import NotFoundError
from node.job import DONE, REMOVED, SKIPPED, last_job, last_reported
from node.store.runs import LACKING, SUCCEEDED
from node.store.tables import Delivery, Event, FindingRow, Instance, Job, ModelRun, Result, Study

# Codes as PS3.16 names them; the node may not import the worker's table, a test compares both.
FINDING_CODES: dict[str, dict[str, str]] = {
    "mass": {"value": "4147007", "scheme": "SCT", "meaning": "Mass"},
    "calcification_cluster": {
        "value": "129769006",
        "scheme": "SCT",
        "meaning": "Calcification Cluster",
    },
    "arterial_calcification": {
        "value": "129759000",
        "scheme": "SCT",
        "meaning": "Vascular calcification",
    },
}

# Of a job, in one query for each table: a study may have a thousand runs.
_SHOWN = (
    selectinload(Job.model_runs).selectinload(ModelRun.findings),
    selectinload(Job.results).selectinload(Result.deliveries),
)


def score(value: float) -> str:
    """A probability with two digits; 0.999 must not look like certainty."""
    return f"{min(value, 0.99):.2f}" if value < 1.0 else "1.00"


def no_findings(found: dict[str, Any]) -> str:
    """What stands where a status object has no findings: unknown is never nothing there."""
    if any(run["state"] in LACKING for run in found["model_runs"]):
        return "unknown: a model gave no answer"
    if found["results"] or found["state"] == DONE:
        if any(run["state"] == SUCCEEDED for run in found["model_runs"]):
            return "none above the operating points of the models that ran"
        return "not analysed"
    return {SKIPPED: "not analysed", REMOVED: "removed"}.get(found["state"], "not known yet")


def study_status(session: Session, study_uid: str) -> dict[str, Any]:
    """Everything the node knows of a study's last revision. Raises NotFoundError.

    While that one is in work, runs and results are those of the one before: what archives have.
    """
    study = session.get(Study, study_uid)
    if study is None:
        raise NotFoundError(f"no study {study_uid} has been received")
    job = last_job(session, study_uid)
    shown = last_reported(session, study_uid) or job
    if shown is not None:
        session.get(Job, shown.id, options=_SHOWN, populate_existing=True)
    runs = shown.model_runs if shown else []
    return {
        "study_uid": study_uid,
        "state": study.state,
        "revision": study.revision,
        "shown_revision": shown.revision if shown else None,
        "instances": _instances(session, study_uid),
        "error": study.error,
        "timings": _timings(study, job),
        "findings": [_finding(run, row) for run in runs for row in run.findings],
        "classification": [_classification(run) for run in runs if run.probabilities],
        "model_runs": [_run(run) for run in runs],
        "results": _results(shown),
        "skipped_instances": _skipped(session, study_uid),
        "conflicts": _conflicts(session, study_uid),
        "events": _events(session, study_uid),
    }


def _instances(session: Session, study_uid: str) -> int:
    count = session.scalar(
        select(func.count())
        .select_from(Instance)
        .where(Instance.study_uid == study_uid, Instance.conflict.is_(False))
    )
    return count or 0


def _timings(study: Study, job: Job | None) -> dict[str, str | None]:
    return {
        "first_instance": _iso(study.first_instance_at),
        "last_instance": _iso(study.last_instance_at),
        "complete": _iso(job.complete_at if job else None),
        "started": _iso(job.started_at if job else None),
        "inferred": _iso(job.inferred_at if job else None),
        "encoded": _iso(job.encoded_at if job else None),
        "delivered": _iso(job.delivered_at if job else None),
    }


def _finding(run: ModelRun, row: FindingRow) -> dict[str, Any]:
    return {
        "model": run.model,
        "model_version": run.model_version,
        "source_sop_uid": run.source_sop_uid,
        "kind": row.kind,
        "code": FINDING_CODES[row.kind],
        "laterality": row.laterality,
        "view": row.view,
        "score": row.score,
        "box_px": row.box_px,
        "area_mm2": row.area_mm2,
        "long_axis_mm": row.long_axis_mm,
        "short_axis_mm": row.short_axis_mm,
        "contour_px": row.contour_px,
    }


def _classification(run: ModelRun) -> dict[str, Any]:
    return {
        "model": run.model,
        "model_version": run.model_version,
        "source_sop_uid": run.source_sop_uid,
        "label": max(run.probabilities, key=lambda name: run.probabilities[name]),
        "probabilities": run.probabilities,
    }


def _run(run: ModelRun) -> dict[str, Any]:
    return {
        "model": run.model,
        "model_version": run.model_version,
        "source_sop_uid": run.source_sop_uid,
        "state": run.state,
        "error": run.error,
        "seconds": run.seconds,
    }


def _results(job: Job | None) -> list[dict[str, Any]]:
    results: Iterable[Result] = job.results if job else ()
    listed: list[dict[str, Any]] = []
    for result in results:
        deliveries: list[Delivery | None] = [*result.deliveries] or [None]
        listed += [_delivered(result, delivery) for delivery in deliveries]
    return listed


def _delivered(result: Result, delivery: Delivery | None) -> dict[str, Any]:
    return {
        "kind": result.kind,
        "variant": result.variant,
        "sop_instance_uid": result.sop_instance_uid,
        "series_uid": result.series_uid,
        "source_sop_uid": result.source_sop_uid,
        "destination": delivery.destination if delivery else None,
        "state": delivery.state if delivery else "kept",
        "error": delivery.error if delivery else None,
        "attempts": delivery.attempts if delivery else 0,
        "transfer_syntax_uid": delivery.transfer_syntax_uid if delivery else None,
        "sent": _iso(delivery.sent_at if delivery else None),
        "confirmed": _iso(delivery.confirmed_at if delivery else None),
    }


def _skipped(session: Session, study_uid: str) -> list[dict[str, Any]]:
    rows = session.scalars(
        select(Instance)
        .where(Instance.study_uid == study_uid, Instance.skip_reason.is_not(None))
        .order_by(Instance.id)
    )
    return [
        {"sop_instance_uid": row.sop_instance_uid, "route": row.route, "reason": row.skip_reason}
        for row in rows
    ]


def _conflicts(session: Session, study_uid: str) -> list[str]:
    """SOP Instance UIDs under which other content came too, which is kept apart."""
    uids = select(Instance.sop_instance_uid).where(Instance.study_uid == study_uid)
    return list(session.scalars(uids.where(Instance.conflict).order_by(Instance.id)))


def _events(session: Session, study_uid: str) -> list[dict[str, Any]]:
    rows = session.scalars(select(Event).where(Event.study_uid == study_uid).order_by(Event.id))
    return [
        {"at": _iso(row.at), "revision": row.revision, "stage": row.stage, "text": row.text}
        for row in rows
    ]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
