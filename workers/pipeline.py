"""The workers' flow on one screen: which stage follows which, and what each error leads to.

    analyse:  lease -> each image: decode, infer, measure, picture, record -> encode -> delivering
    deliver:  lease -> each result x destination: send, confirm, record -> done, or again later

Both may be stopped at any line and started again: what is recorded is not done twice, and objects
have derived UIDs. Errors decide by class (`node.errors`): transient -> the job waits and is tried
again; permanent -> the job fails with the reason; a lost lease -> another worker has it, stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from models.contract import Model
from models.registry import UnknownModelError, get_model
from node.destinations import Destination, load_destinations
from node.doorbell import Doorbell
from node.errors import (
    ConfigurationError,
    DecodingError,
    LeaseLostError,
    PermanentError,
    TransientError,
)
from node.identifiers import JobId
from node.job import (
    DELIVERING,
    DONE,
    FAILED,
    RUNNING,
    SKIPPED,
    Bell,
    Lease,
    claim,
    follow_up,
    hold,
    move,
    postpone,
    utc_now,
)
from node.lease import kept
from node.logs import log
from node.process import process_name
from node.settings import Settings
from node.store.files import Files
from node.store.originals import as_path, place_of
from node.store.session import Store, open_store
from workers.absence import Absences, absences_of
from workers.delivery import deliver_results
from workers.dicom.decoding import read_source
from workers.findings import RunOutcome
from workers.inference import Server, failed_run
from workers.partner import reopen_partners
from workers.pictures.png import overlay_picture
from workers.records import (
    ImageWork,
    add_results,
    failure_summary,
    images_to_do,
    is_withdrawal,
    nothing_to_report,
    store_outcomes,
)
from workers.replacement import (
    forget_lost_notes,
    hold_back,
    replace_superseded,
    take_back_at_once,
    withdrawal_summary,
    write_rejection_notes,
)
from workers.results import Encoding, encode_results, write_lost
from workers.triton.balanced import BalancedClient

Stage = Callable[[Lease], Bell | None]

# The database is away, full, or being replaced (PEP 249); other errors are about what was written.
_DATABASE_AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)
_LOOK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything the stages need; made once per process."""

    settings: Settings
    store: Store
    files: Files
    server: Server
    destinations: tuple[Destination, ...]
    doorbell: Doorbell

    def analyse(self, job_id: JobId) -> None:
        """Run what is left to run, then write the result objects."""
        self._work(job_id, RUNNING, self._analyse)

    def deliver(self, job_id: JobId) -> None:
        """Bring every result to every destination that wants its kind."""
        self._work(job_id, DELIVERING, self._deliver)

    def _analyse(self, lease: Lease) -> Bell | None:
        self._run_models(lease)
        with self.store.writing() as session:
            job = hold(session, lease)
            # Not again after a crash: others compare it with when they looked.
            job.inferred_at = job.inferred_at or utc_now()
            job.error = nothing_to_report(session, job)
            if job.error is not None:
                return move(session, job, SKIPPED, job.error)
        results = encode_results(self._encoding(), lease)
        with self.store.writing() as session:
            job = hold(session, lease)
            add_results(session, job, results, self.destinations)
            job.encoded_at = utc_now()
            follow_up(session, job, self.settings)
            if is_withdrawal(job):
                hold_back(session, job)
                reopen_partners(session, job)
            return move(session, job, DELIVERING, f"{len(results)} result objects written")

    def _run_models(self, lease: Lease) -> None:
        """Every image that is left; last those of which nothing is known without absent models."""
        absences = absences_of(self.store, lease, self.settings)
        unseen: list[RunOutcome] = []
        for work in images_to_do(self.store, lease):
            outcomes = self._look_at(work, lease, absences)
            if any(each.away for each in outcomes) and all(each.error for each in outcomes):
                unseen += outcomes
                continue
            with self.store.writing() as session:
                store_outcomes(session, hold(session, lease), outcomes)
        if unseen:
            with self.store.writing() as session:
                job = hold(session, lease)
                absences.require_an_answer(job)
                store_outcomes(session, job, unseen)

    def _look_at(self, work: ImageWork, lease: Lease, absences: Absences) -> list[RunOutcome]:
        models = _models(work)
        try:
            with as_path(self.files, place_of(self.store, work.instance_id)) as path:
                source = read_source(path)
        except DecodingError as error:
            return [failed_run(model.spec, work.sop_instance_uid, str(error)) for model in models]
        uid, revision = lease.study_uid, lease.revision
        outcomes = [
            absences.run(model, source, self.server, study_uid=uid, revision=revision)
            for model in models
        ]
        findings = [finding for outcome in outcomes for finding in outcome.findings]
        self.files.write(
            self.files.picture_path(lease.study_uid, lease.revision, work.sop_instance_uid),
            overlay_picture(source.image, findings),
        )
        return outcomes

    def _deliver(self, lease: Lease) -> None:
        refusals = self._delivered(lease)
        if refusals is None:
            return  # what waits is rung again when it is due
        with self.store.writing() as session:
            job = hold(session, lease)
            job.delivered_at = utc_now()
            failures, all_failed = failure_summary(job)
            if is_withdrawal(job):
                failures, all_failed = [withdrawal_summary(session, job)], False
            job.error = "; ".join([*refusals, *failures]) or None
            if refusals or all_failed:
                move(session, job, FAILED, job.error or "failed")
            else:
                move(session, job, DONE, "every result is confirmed")

    def _delivered(self, lease: Lease) -> list[str] | None:
        """Send, then take back what is superseded; None while something waits."""
        parts = (self.store, self.files, lease, self.destinations)
        write_lost(self._encoding(), lease)
        forget_lost_notes(self.store, self.files, lease)
        take_back_at_once(*parts)
        refusals = deliver_results(*parts, self.settings)
        if refusals == [] and write_rejection_notes(*parts):
            refusals = deliver_results(*parts, self.settings)
        return replace_superseded(*parts) if refusals == [] else refusals

    def _encoding(self) -> Encoding:
        settings = self.settings
        choices = (settings.combine_window_days, settings.presentation_scores)
        return Encoding(self.store, self.files, self.destinations, *choices)

    def _work(self, job_id: JobId, state: str, stage: Stage) -> None:
        """The outer shell of both tasks: the lease, and what is left when it is gone."""
        lease = claim(self.store, job_id, process_name("worker"), state, self.settings)
        if lease is None:
            return
        facts = {"job": job_id, "study": lease.study_uid, "stage": state}
        try:
            with kept(self.store, lease, self.settings):
                bell = self._disposed(stage, lease, facts)
            if bell is not None:
                self.doorbell.ring(bell)
        except LeaseLostError:
            log.warning("lease lost, another worker goes on", extra=facts)
        except SQLAlchemyError:
            log.exception("database away; tried again when the lease runs out", extra=facts)

    def _disposed(self, stage: Stage, lease: Lease, facts: dict[str, object]) -> Bell | None:
        """Run the stage; every error but a lost lease becomes a recorded disposition."""
        try:
            return stage(lease)
        except LeaseLostError:
            raise
        except _DATABASE_AWAY as error:
            log.exception("database error", extra=facts)
            self._give_back(lease, f"database error ({type(error).__name__})")
        except TransientError as error:
            log.warning("postponed", extra=facts | {"reason": str(error)})
            self._postpone(lease, str(error))
        except OSError as error:
            # A full disk or a lost mount is as transient as a server that is away.
            reason = f"{error}; check the disk of SENTINODE_STATE_DIR, send again what it has lost"
            log.warning("postponed", extra=facts | {"reason": reason})
            self._postpone(lease, reason)
        except PermanentError as error:
            log.error("failed", extra=facts | {"reason": str(error)})
            self._fail(lease, str(error))
        except Exception as error:  # noqa: BLE001  # the outer shell: recorded
            log.exception("failed unexpectedly", extra=facts)
            self._fail(lease, f"unexpected {type(error).__name__}; see the worker's log")
        return None

    def _postpone(self, lease: Lease, reason: str) -> None:
        with self.store.writing() as session:
            postpone(session, hold(session, lease), reason, self.settings)

    def _give_back(self, lease: Lease, reason: str) -> None:
        """Postpone once the database answers; not in a lease's time: then the job is another's.

        A lease that merely ran out would count as a worker that died.
        """
        deadline = time.monotonic() + self.settings.lease_seconds
        while True:
            try:
                return self._postpone(lease, reason)
            except _DATABASE_AWAY:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOOK_AGAIN_SECONDS)

    def _fail(self, lease: Lease, reason: str) -> None:
        with self.store.writing() as session:
            job = hold(session, lease)
            job.error = reason
            move(session, job, FAILED, reason)


def _models(work: ImageWork) -> list[Model]:
    """The models that routing chose when the image came. Raises ConfigurationError."""
    try:
        return [get_model(name) for name in work.models]
    except UnknownModelError as error:
        raise ConfigurationError(
            f"{error}; the images came for a version that has it: run that one, or remove the "
            "study with `sentinode expire --failed` and send it again"
        ) from error


def open_pipeline(settings: Settings) -> Pipeline:
    """The pipeline that the settings describe. Raises ConfigurationError."""
    files = Files(settings.state_dir)
    files.prepare()
    return Pipeline(
        settings=settings,
        store=open_store(settings),
        files=files,
        server=BalancedClient(settings.triton_url, settings.triton_timeout_seconds),
        destinations=load_destinations(settings.destinations),
        doorbell=Doorbell(settings),
    )
