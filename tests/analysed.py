"""Studies whose models have run: received as by the listener, runs recorded as by a worker.

No Triton is needed: `Pipeline.analyse` finds every run recorded and goes on to encode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import FileDataset
from pydicom.uid import UltrasoundImageStorage
from sqlalchemy import select

from models.contract import FindingKind
from models.registry import MODELS
from node.job import RUNNING, Lease, claim, hold, instances_of, utc_now
from node.store.tables import Instance, Job
from tests.datasets import mammogram
from tests.receiving import Receiving
from tests.results import finding
from workers.findings import RunOutcome
from workers.records import store_outcomes


def scan(study_uid: str | None = None, laterality: str | None = "L") -> FileDataset:
    """A tiny ultrasound image of a breast."""
    dataset = mammogram(study_uid, laterality=laterality or "")
    for keyword in ("ImagerPixelSpacing", "ViewPosition", "PresentationIntentType"):
        delattr(dataset, keyword)
    if laterality is None:
        del dataset.ImageLaterality
    dataset.Modality = "US"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    return dataset


@dataclass(frozen=True)
class Said:
    """What all models say of a study's images: findings, or an error by model."""

    findings: int = 0
    errors: Mapping[str, str] | None = None
    # Models that take no image for one of theirs.
    declining: tuple[str, ...] = ()


class Analysed(Receiving):
    """A node whose models have answered, without processes."""

    def received(self, *datasets: FileDataset) -> int:
        """Store the objects of one study and complete it; its job."""
        assert {self.receive(dataset) for dataset in datasets} == {"new"}
        (bell,) = self.sweep(1000)
        return int(bell.job_id)

    def claimed(self, job_id: int, owner: str = "w1") -> Lease:
        """The lease of a job that waits for its analysis."""
        lease = claim(self.store, job_id, owner, RUNNING, self.settings)  # type: ignore[arg-type]
        assert lease is not None
        return lease

    def infer(self, lease: Lease, said: Said | None = None) -> None:
        """Record a run of every model on every image, and that all have run."""
        with self.store.writing() as session:
            job = hold(session, lease)
            for instance in instances_of(session, job):
                store_outcomes(session, job, _outcomes(instance, job, said or Said()))
            job.inferred_at = job.inferred_at or utc_now()

    def analysed(self, *datasets: FileDataset, said: Said | None = None) -> Lease:
        """Receive a study and let its models run; the lease of the worker that goes on."""
        lease = self.claimed(self.received(*datasets))
        self.infer(lease, said)
        return lease

    def release(self, lease: Lease) -> None:
        """Give a lease back, as a worker that died does after a while."""
        with self.store.writing() as session:
            job = hold(session, lease)
            job.lease_owner = job.lease_until = None

    def job(self, study_uid: str, revision: int) -> Job:
        """The row of one revision."""
        with self.store.reading() as session:
            return session.scalars(
                select(Job).where(Job.study_uid == study_uid, Job.revision == revision)
            ).one()


def _outcomes(instance: Instance, job: Job, said: Said) -> Sequence[RunOutcome]:
    return [_outcome(instance, job, model, said) for model in instance.models]


def _outcome(instance: Instance, job: Job, model: str, said: Said) -> RunOutcome:
    version = MODELS[model].spec.version
    declined = model in said.declining
    error = "no image for it" if declined else (said.errors or {}).get(model)
    marks = FindingKind.MASS if model.startswith("mask_rcnn") and error is None else None
    facts: dict[str, Any] = {
        "model": model,
        "model_version": version,
        "source_sop_uid": instance.sop_instance_uid,
        "study_uid": instance.study_uid,
        "revision": job.revision,
    }
    # Within the 64 x 48 pixels of the made images.
    found = [
        finding(kind=marks, number=number, offset_px=(2 + 3 * number, 2), **facts)
        for number in range(1, said.findings + 1)
        if marks is not None
    ]
    return RunOutcome(
        model=model,
        model_version=version,
        source_sop_uid=instance.sop_instance_uid,
        error=error,
        seconds=0.1,
        findings=tuple(found),
        probabilities={},
        declined=declined,
    )
