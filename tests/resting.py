"""Studies that are done and are kept no longer, without Triton, archives or processes."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from pydicom.dataset import FileDataset
from sqlalchemy import func, select, update

from node.job import DELIVERING, DONE, claim, hold, move, utc_now
from node.retention.expiry import Expiry
from node.retention.removal import Rule
from node.store.tables import Delivery, Instance, Job, Removal, Result, Study
from tests.analysed import Analysed, Said
from workers.records import add_results
from workers.results import Encoding, encode_results

KEEP_DAYS = 30


class Resting(Analysed):
    """A node that keeps studies for thirty days."""

    def done(self, *datasets: FileDataset, said: Said | None = None, end: str = DONE) -> str:
        """Take a study from its objects to the end of its job; its UID."""
        self.finish(self.received(*datasets), said, end)
        return str(datasets[0].StudyInstanceUID)

    def finish(self, job_id: int, said: Said | None = None, end: str = DONE) -> None:
        """Do what workers do to a queued job; one archive confirms every result."""
        lease = self.claimed(job_id)
        self.infer(lease, said)
        written = encode_results(Encoding(self.store, self.files, ()), lease)
        study_uid, revision = lease.study_uid, lease.revision
        self.files.write(self.files.picture_path(study_uid, revision, study_uid), b"a picture")
        with self.store.writing() as session:
            job = hold(session, lease)
            add_results(session, job, written, ())
            for result in job.results:
                result.deliveries = [Delivery(destination="archive", state="confirmed")]
            move(session, job, DELIVERING, "test")
        delivering = claim(self.store, lease.job_id, "w1", DELIVERING, self.settings)
        assert delivering is not None
        with self.store.writing() as session:
            move(session, hold(session, delivering), end, "test")

    def age(self, study_uid: str, days: float) -> None:
        """Let everything of a study have happened so many days earlier."""
        earlier = timedelta(days=days)
        jobs = select(Job.id).where(Job.study_uid == study_uid)
        with self.store.writing() as session:
            study = session.get_one(Study, study_uid)
            study.last_instance_at -= earlier
            for row in session.scalars(select(Instance).where(Instance.study_uid == study_uid)):
                row.received_at -= earlier
            for job in session.scalars(select(Job).where(Job.study_uid == study_uid)):
                job.due_at -= earlier
            results = select(Result.id).where(Result.job_id.in_(jobs))
            session.execute(
                update(Delivery)
                .where(Delivery.result_id.in_(results))
                .values(sent_at=study.last_instance_at, confirmed_at=study.last_instance_at)
            )

    def expire(
        self, after_days: float = KEEP_DAYS + 1, days: int = KEEP_DAYS, rule: Rule | None = None
    ) -> int:
        """Pass over the store as the sweeper would so many days from now; what it removed."""
        before = self.removals()
        expiry = Expiry(self.store, self.files, rule or Rule(days))
        while expiry.turn(later(after_days)):
            pass
        return self.removals() - before

    def removals(self) -> int:
        """How many studies were removed."""
        with self.store.reading() as session:
            return session.scalar(select(func.count()).select_from(Removal)) or 0

    def study(self, study_uid: str) -> Study:
        """The row of a study."""
        with self.store.reading() as session:
            return session.get_one(Study, study_uid)

    def files_of(self, study_uid: str) -> set[Path]:
        """Files and folders named after a study."""
        return set(self.settings.state_dir.glob(f"*/{study_uid}/**/*"))


def later(days: float) -> datetime:
    """So many days from now."""
    return utc_now() + timedelta(days=days)
