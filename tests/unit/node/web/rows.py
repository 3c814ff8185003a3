"""Rows of studies as the other processes leave them, written directly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from node.identifiers import derived_uid
from node.store.session import Store
from node.store.tables import (
    Delivery,
    Event,
    FindingRow,
    Instance,
    Job,
    ModelRun,
    Process,
    Result,
    Study,
)

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DESTINATION = "archive"
SIZE_BYTES = 1000


def study_uid(number: int = 1) -> str:
    """The UID of study `number`."""
    return derived_uid("test study", number)


def source_uid(number: int = 1, view: str = "CC") -> str:
    """The UID of the left image of that study in this view."""
    return derived_uid("test image", number, view)


def add_study(
    store: Store,
    number: int = 1,
    *,
    state: str = "done",
    uid: str | None = None,
    image_uid: str | None = None,
    error: str | None = None,
    failed_run: str | None = None,
    delivery_state: str = "confirmed",
) -> str:
    """A study of one analysed image, with one finding unless its run failed; returns its UID."""
    uid, image_uid = uid or study_uid(number), image_uid or source_uid(number)
    at = AT + timedelta(minutes=number)
    waits = state in ("receiving", "skipped")
    job = None if waits else _job(uid, state, at, error)
    if job is not None:
        job.model_runs = [_run(image_uid, failed_run)]
        job.results = [_result(number, image_uid, delivery_state, at)]
    study = Study(
        study_uid=uid,
        state=state,
        revision=0 if waits else 1,
        deadline_at=at + timedelta(minutes=1) if state == "receiving" else None,
        first_instance_at=at,
        last_instance_at=at + timedelta(seconds=9),
        error=error,
        instances=[_instance(uid, image_uid, at, state)],
        jobs=[job] if job else [],
    )
    with store.writing() as session:
        session.add(study)
        session.flush()
        session.add_all(_timeline(uid, state, at))
    return uid


def add_beat(store: Store, role: str, at: datetime) -> None:
    """A process of this role that beat at `at`."""
    with store.writing() as session:
        session.merge(Process(name=f"{role}@test", role=role, started_at=at, beat_at=at))


def _instance(uid: str, image_uid: str, at: datetime, state: str) -> Instance:
    skipped = state == "skipped"
    return Instance(
        study_uid=uid,
        series_uid=derived_uid("test series", uid),
        sop_instance_uid=image_uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=f"instances/{uid}/{image_uid}.dcm",
        size_bytes=SIZE_BYTES,
        digest="0" * 64,
        calling_ae_title="MODALITY",
        peer_host="192.0.2.7",
        received_at=at,
        route="mammography",
        models=[] if skipped else ["mask_rcnn_mg"],
        skip_reason="no model reads this kind of object" if skipped else None,
        attributes={"Modality": "MG", "ImageLaterality": "L", "ViewPosition": "CC"},
        revision=1,
    )


def _job(uid: str, state: str, at: datetime, error: str | None) -> Job:
    def after(seconds: int) -> datetime:
        return at + timedelta(seconds=seconds)

    return Job(
        study_uid=uid,
        revision=1,
        state=state,
        due_at=at,
        error=error,
        complete_at=after(20),
        started_at=after(21),
        inferred_at=after(30),
        encoded_at=after(31),
        delivered_at=after(32) if state == "done" else None,
    )


def _run(image_uid: str, failed: str | None) -> ModelRun:
    finding = FindingRow(
        number=1,
        kind="mass",
        laterality="L",
        view="CC",
        score=0.91,
        box_px=[300, 400, 360, 470],
        contour_px=[[300, 400], [360, 400], [360, 470], [300, 470]],
        area_px=4200,
        area_mm2=217.4,
        long_axis_mm=18.2,
        short_axis_mm=14.9,
        mask_png=b"",
        tracking_uid=derived_uid("test finding", image_uid),
    )
    return ModelRun(
        source_sop_uid=image_uid,
        model="mask_rcnn_mg",
        model_version="1.0",
        state="failed" if failed else "succeeded",
        error=failed,
        seconds=1.5,
        probabilities={} if failed else {"benign": 0.12, "malignant": 0.88},
        findings=[] if failed else [finding],
    )


def _result(number: int, image_uid: str, delivery_state: str, at: datetime) -> Result:
    refused = delivery_state == "refused"
    return Result(
        kind="SEG",
        sop_instance_uid=derived_uid("test result", image_uid),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4",
        series_uid=derived_uid("test result series", image_uid),
        source_sop_uid=image_uid,
        path=f"results/{number}.dcm",
        size_bytes=SIZE_BYTES,
        deliveries=[
            Delivery(
                destination=DESTINATION,
                state=delivery_state,
                attempts=1,
                error="the archive answered 0xA900" if refused else None,
                sent_at=at,
            )
        ],
    )


def _timeline(uid: str, state: str, at: datetime) -> list[Event]:
    lines = [("receiving", "first image"), ("queued", "complete after 20 s"), ("running", "try 1")]
    return [
        Event(study_uid=uid, revision=1, at=at + timedelta(seconds=i), stage=stage, text=text)
        for i, (stage, text) in enumerate([*lines, (state, "")])
    ]
