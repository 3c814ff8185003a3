"""A job whose results wait for delivery, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from sqlalchemy import select, update

from node.destinations import SOP_CLASS_OF_KIND, Destination
from node.identifiers import JobId
from node.job import DELIVERING, RUNNING, Lease, claim, move, new_job, utc_now
from node.settings import Settings, load_settings
from node.store.files import Files
from node.store.session import Store
from node.store.tables import Delivery, DestinationState, Job, Result, Study
from tests.datasets import mammogram, saved
from workers.delivery import deliver_results
from workers.dicom.identity import read_identity
from workers.dispatch.route import Route

EXPLICIT = str(ExplicitVRLittleEndian)
SETTINGS = load_settings(ae_title="SENTINODE")


def at(port: int, name: str = "archive", /, **changes: Any) -> Destination:
    """A destination at a DIMSE archive of this port on this machine."""
    fields: dict[str, Any] = {
        "name": name,
        "protocol": "c-store",
        "ae_title": "STRICT",
        "host": "127.0.0.1",
        "port": port,
        "confirm": "c-find",
        "timeout_seconds": 5,
    }
    return Destination.model_validate(fields | changes)


def route(destination: Destination, *paths: Path, settings: Settings = SETTINGS) -> Route:
    """The way of these objects; nothing that is done on it writes to the store."""
    identities = [read_identity(path) for path in paths]
    return Route(destination, identities, settings, store=None)  # type: ignore[arg-type]


def deliver(path: Path, destination: Destination, settings: Settings = SETTINGS) -> str:
    """Store one object; the transfer syntax that it went in."""
    with route(destination, path, settings=settings) as way:
        return way.store(path, read_identity(path))


def result_object(kind: str = "SEG") -> Dataset:
    """A small object of this kind's SOP class; destinations look at no more."""
    dataset = mammogram()
    dataset.SOPClassUID = UID(SOP_CLASS_OF_KIND[kind])  # type: ignore[index]  # a ResultKind
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


@dataclass
class Deliveries:
    """The deliveries of one job."""

    store: Store
    files: Files
    settings: Settings
    job_id: JobId
    study_uid: str
    objects: list[Dataset]

    def round(self, *destinations: Destination) -> list[str] | None:
        """One round of a worker that finds the job due, with everything that waits due too."""
        return deliver_results(self.store, self.files, self.lease(), destinations, self.settings)

    def lease(self) -> Lease:
        """The lease of the job, whoever had it."""
        with self.store.writing() as session:
            values = {"due_at": utc_now(), "lease_owner": None, "lease_until": None}
            session.execute(update(Job).where(Job.id == self.job_id).values(values))
        lease = claim(self.store, self.job_id, "worker", DELIVERING, self.settings)
        assert lease is not None
        return lease

    def forget_pauses(self) -> None:
        """Let the time of every pause have passed."""
        past = utc_now() - timedelta(seconds=1)
        with self.store.writing() as session:
            session.execute(update(Delivery).values(due_at=past))
            session.execute(update(DestinationState).values(due_at=past))

    def age(self, seconds: float) -> None:
        """Let everything that fails have failed for this long."""
        with self.store.writing() as session:
            failing = select(Delivery).where(Delivery.failing_since.is_not(None))
            for row in session.scalars(failing):
                assert row.failing_since is not None
                row.failing_since -= timedelta(seconds=seconds)

    def rows(self, destination: str | None = None) -> list[Delivery]:
        """The deliveries, in the order of their objects."""
        with self.store.reading() as session:
            mine = select(Delivery).join(Result).where(Result.job_id == self.job_id)
            rows = session.scalars(mine.order_by(Delivery.id)).all()
        return [row for row in rows if destination in (None, row.destination)]

    def states(self, destination: str | None = None) -> list[str]:
        """Their states."""
        return [row.state for row in self.rows(destination)]

    def job(self) -> Job:
        """The job's row."""
        with self.store.reading() as session:
            return session.get_one(Job, self.job_id)


def waiting_job(
    store: Store,
    settings: Settings,
    folder: Path,
    names: Sequence[str],
    objects: Sequence[Dataset] | None = None,
) -> Deliveries:
    """A job in `delivering` whose objects (two SEG) wait for the destinations of these names."""
    objects = list(objects or [result_object(), result_object()])
    study_uid = str(generate_uid())
    files = Files(settings.state_dir)
    files.prepare()
    with store.writing() as session:
        now = utc_now()
        times: dict[str, Any] = {"first_instance_at": now, "last_instance_at": now}
        study = Study(study_uid=study_uid, state="queued", revision=1, **times)
        session.add(study)
        session.flush()
        new_job(session, study, "made by a test")
        job = session.scalars(select(Job).where(Job.study_uid == study_uid)).one()
        for dataset in objects:
            path = files.result_path(study_uid, 1, dataset.SOPInstanceUID)
            files.write(path, saved(dataset, folder).read_bytes())
            job.results.append(result_row(dataset, path, names))
        job_id = JobId(job.id)
    assert claim(store, job_id, "first", RUNNING, settings) is not None
    with store.writing() as session:
        move(session, session.get_one(Job, job_id), DELIVERING, "encoded")
    return Deliveries(store, files, settings, job_id, study_uid, objects)


def result_row(dataset: Dataset, path: str, names: Sequence[str] = ()) -> Result:
    """The row of a SEG kept at `path`, with a delivery to each of these destinations."""
    row = Result(
        kind="SEG",
        sop_instance_uid=dataset.SOPInstanceUID,
        sop_class_uid=dataset.SOPClassUID,
        series_uid=dataset.SeriesInstanceUID,
        path=path,
        size_bytes=1,
    )
    row.deliveries = [Delivery(destination=name, state="pending") for name in names]
    return row
