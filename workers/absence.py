"""A model that does not answer: how long its study waits for it, and what is reported meanwhile.

Most absences are a restart, so at first the whole study waits. After PARTIAL_REPORT_SECONDS it is
reported without the model, marked as incomplete, and its next revision waits on. What must hold: a
study of which no model said anything waits whole, for such a report helps nobody; and what has been
reported once is not reported again before it can be complete.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models.contract import Model
from node.errors import ModelMismatchError, ModelUnavailableError
from node.job import Lease, brings_images, failing_seconds
from node.settings import Settings
from node.store.runs import SUCCEEDED
from node.store.session import Store
from node.store.tables import Job
from workers.findings import RunOutcome
from workers.images import SourceImage
from workers.inference import Server, away_run, run_model


@dataclass(slots=True)
class Absences:
    """The models that did not answer in this try of a job.

    `tolerated`: whether the study goes on without them. One that was asked in vain is not asked
    again for the next image: it may have taken all of TRITON_TIMEOUT_SECONDS.
    """

    tolerated: bool
    _reasons: dict[str, ModelUnavailableError | ModelMismatchError] = field(default_factory=dict)

    def run(
        self, model: Model, source: SourceImage, server: Server, *, study_uid: str, revision: int
    ) -> RunOutcome:
        """As `inference.run_model`, which raises for a model that is away where none may be."""
        if model.spec.name not in self._reasons:
            try:
                return run_model(model, source, server, study_uid=study_uid, revision=revision)
            except (ModelUnavailableError, ModelMismatchError) as error:
                if not self.tolerated:
                    raise
                self._reasons[model.spec.name] = error
        return away_run(model.spec, str(source.dataset.SOPInstanceUID))

    def require_an_answer(self, job: Job) -> None:
        """Raises what the first absent model said where no model has said anything of the study."""
        if not any(run.state == SUCCEEDED for run in job.model_runs):
            raise next(iter(self._reasons.values()))


def absences_of(store: Store, lease: Lease, settings: Settings) -> Absences:
    """For one try of a job: none is tolerated until it has waited, and brings something new."""
    with store.reading() as session:
        job = session.get_one(Job, lease.job_id)
        overdue = failing_seconds(job) > settings.partial_report_seconds
        return Absences(tolerated=overdue and brings_images(session, job))
