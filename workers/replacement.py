"""Stage 8, at its end: what earlier revisions left at a destination gives way to the new one.

In: a job of which everything is delivered, and what destinations say under `replace`. Out: objects
of earlier revisions are named in a rejection note (IHE RAD-66) or deleted from Orthanc; their
deliveries are `replaced`. What must hold: nothing goes at a destination before every object of the
new revision is confirmed there, and nothing at all when a model failed or an object was refused in
the new revision; only results of this node go; doing it again changes nothing.

A combined report in another study that this revision's combined report replaces is deleted as well;
a rejection note is about one study and cannot name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from node.destinations import Destination
from node.errors import DestinationRefusedError, DestinationUnavailableError
from node.job import DELIVERING, Lease, earlier_is_delivered, hold, instances_of, record
from node.rejection import REJECTED_FOR_QUALITY
from node.routes import PRIOR_ROUTE
from node.store.deliveries import ASKED, CONFIRMED, PENDING, REFUSED, REPLACED, SENT
from node.store.files import Files
from node.store.originals import Place, open_original
from node.store.runs import LACKING
from node.store.session import Store
from node.store.tables import Combination, Delivery, Job, Result
from workers.analyses import EncodedResult
from workers.dicom.decoding import read_header
from workers.dicom.orthanc import open_orthanc
from workers.key_objects import RejectionReason, encode_rejection_note
from workers.records import is_withdrawal, rejections, why_nothing
from workers.results import write_result

REJECTED, COMBINED = "REJECTED", "COMBINED"


@dataclass(frozen=True, slots=True)
class _Superseded:
    """One object of an earlier revision at a destination."""

    delivery_id: int
    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def write_rejection_notes(
    store: Store, files: Files, lease: Lease, destinations: Sequence[Destination]
) -> bool:
    """Write the notes that are due; whether there are some to deliver now.

    Raises EncodingError, LeaseLostError.
    """
    written = False
    if not _may_replace(store, lease, destinations):
        return written
    for destination in destinations:
        if destination.replace != "rejection-note":
            continue
        with store.reading() as session:
            job = session.get_one(Job, lease.job_id)
            due = [] if _note(job, destination) else _superseded(session, job, destination)
            named = [each for each in due if each.study_uid == job.study_uid]
        if named:
            _write_note(store, files, lease, destination, named)
            written = True
    return written


def replace_superseded(
    store: Store, files: Files, lease: Lease, destinations: Sequence[Destination]
) -> list[str]:
    """Take back what is superseded, and return one sentence per refusal.

    Raises DestinationUnavailableError once all other destinations are done, LeaseLostError.
    """
    if not _may_replace(store, lease, destinations):
        raise DestinationUnavailableError("an earlier revision is still being delivered")
    refusals: list[str] = []
    unavailable: list[str] = []
    for destination in destinations:
        try:
            if destination.replace == "orthanc-delete":
                _delete(store, lease, destination)
            elif destination.replace == "rejection-note":
                _mark_rejected(store, files, lease, destination)
        except DestinationUnavailableError as error:
            unavailable.append(f"{destination.name}: replacement: {error}")
        except DestinationRefusedError as error:
            refusals.append(f"{destination.name}: replacement: {error}")
    if unavailable:
        raise DestinationUnavailableError("; ".join(unavailable))
    return refusals


def take_back_at_once(
    store: Store, files: Files, lease: Lease, destinations: Sequence[Destination]
) -> None:
    """Of a withdrawal nothing is new anywhere: no destination waits until another is reached.

    What cannot be done now is tried again at the end. Raises LeaseLostError.
    """
    with store.reading() as session:
        if not is_withdrawal(session.get_one(Job, lease.job_id)):
            return
    with suppress(DestinationUnavailableError):
        replace_superseded(store, files, lease, destinations)


def hold_back(session: Session, job: Job) -> None:
    """Leave unsent what waits for archives, of earlier revisions that `job` takes back.

    What was tried may have arrived: that goes its way, and is replaced. So does what a worker has.
    """
    waiting = (
        select(Job.id)
        .where(Job.study_uid == job.study_uid, Job.revision < job.revision)
        .where(Job.state == DELIVERING, Job.lease_owner.is_(None))
        .with_for_update(skip_locked=True)
    )
    unsent = (
        select(Delivery)
        .join(Result, Result.id == Delivery.result_id)
        .where(Result.job_id.in_(session.scalars(waiting).all()), Delivery.state == PENDING)
        .where(Delivery.attempts == 0, Delivery.failures == 0)
    )
    for delivery in session.scalars(unsent):
        delivery.state = REPLACED


def forget_lost_notes(store: Store, files: Files, lease: Lease) -> None:
    """Have notes written again that are still to be delivered and have no file.

    A restored backup may lack them; the same objects make the same note. Raises LeaseLostError.
    """
    with store.reading() as session:
        lost = {
            result.id
            for result in session.get_one(Job, lease.job_id).results
            if result.kind == REJECTED and not files.absolute(result.path).exists()
            if any(each.state in (PENDING, SENT, ASKED) for each in result.deliveries)
        }
    if lost:
        with store.writing() as session:
            job = hold(session, lease)
            job.results = [result for result in job.results if result.id not in lost]


def withdrawal_summary(session: Session, job: Job) -> str:
    """What became of earlier results, of a job that takes them back."""
    left = (
        select(Delivery.destination)
        .join(Result, Result.id == Delivery.result_id)
        .join(Job, Job.id == Result.job_id)
        .where(Job.study_uid == job.study_uid, Result.kind != REJECTED)
        .where(Delivery.state.not_in((REPLACED, REFUSED)))
        .distinct()
    )
    names = sorted(session.scalars(left))
    told = "earlier results are taken back"
    if names:
        told = f"earlier results remain at {', '.join(names)}: hide them there, or set `replace`"
    return f"{why_nothing(session, job)}; {told}"


def _may_replace(store: Store, lease: Lease, destinations: Sequence[Destination]) -> bool:
    """Not while an earlier revision may still bring what would be taken back."""
    if all(destination.replace == "none" for destination in destinations):
        return True
    with store.reading() as session:
        return earlier_is_delivered(session, lease)


def _delete(store: Store, lease: Lease, destination: Destination) -> None:
    with store.reading() as session:
        job = session.get_one(Job, lease.job_id)
        superseded = _superseded(session, job, destination)
    if not superseded:
        return
    with open_orthanc(destination) as orthanc:
        for each in superseded:
            orthanc.remove(each.study_uid, each.series_uid, each.sop_instance_uid)
            _mark(store, lease, [each], None)
    _tell(store, lease, f"{len(superseded)} superseded objects deleted at {destination.name}")


def _mark_rejected(store: Store, files: Files, lease: Lease, destination: Destination) -> None:
    """Once the note has arrived, what it names is replaced."""
    with store.reading() as session:
        job = session.get_one(Job, lease.job_id)
        note = _note(job, destination)
        superseded = _superseded(session, job, destination)
    if note is None or not superseded:
        return
    named = _named_in(pydicom.dcmread(files.absolute(note.path)))
    done = [each for each in superseded if each.sop_instance_uid in named]
    text = f"{len(done)} superseded objects rejected at {destination.name}"
    _mark(store, lease, done, text if done else None)


def _superseded(session: Session, job: Job, destination: Destination) -> list[_Superseded]:
    """What may be at the destination still; nothing while the new revision is not wholly there.

    What was never confirmed may have arrived all the same, unless it was refused.
    """
    if not _is_there(job, destination):
        return []
    replaced_report = select(Combination.predecessor_job_id).where(Combination.job_id == job.id)
    combines = any(result.kind == COMBINED for result in job.results)
    earlier = and_(Job.study_uid == job.study_uid, Job.revision < job.revision)
    combined = and_(Result.kind == COMBINED, Result.job_id.in_(replaced_report))
    rows = session.execute(
        select(
            *(Delivery.id, Job.study_uid, Result.series_uid),
            *(Result.sop_class_uid, Result.sop_instance_uid),
        )
        .join(Result, Result.id == Delivery.result_id)
        .join(Job, Job.id == Result.job_id)
        .where(or_(earlier, combined) if combines else earlier)
        .where(Delivery.destination == destination.name)
        .where(Delivery.state.not_in((REPLACED, REFUSED)))
        # A note that rejects a note would bring back what that one had hidden.
        .where(Result.kind != REJECTED)
        .order_by(Delivery.id)
    )
    return [_Superseded(*row) for row in rows]


def _is_there(job: Job, destination: Destination) -> bool:
    """Whether the job went well and all of its objects are confirmed at the destination."""
    if any(run.state in LACKING for run in job.model_runs):
        return False
    deliveries = [
        (result.kind, delivery) for result in job.results for delivery in result.deliveries
    ]
    is_open = any(each.state not in (SENT, CONFIRMED, REPLACED) for _, each in deliveries)
    if is_open and not is_withdrawal(job):
        return False
    here = [each.state for kind, each in deliveries if each.destination == destination.name]
    # Where no model has a word on any image there is nothing to be there.
    is_whole = bool(here) or is_withdrawal(job)
    return is_whole and all(state in (CONFIRMED, REPLACED) for state in here)


def _note(job: Job, destination: Destination) -> Result | None:
    """The rejection note of this job for the destination."""
    for result in job.results:
        names = {delivery.destination for delivery in result.deliveries}
        if result.kind == REJECTED and destination.name in names:
            return result
    return None


def _write_note(
    store: Store,
    files: Files,
    lease: Lease,
    destination: Destination,
    superseded: Sequence[_Superseded],
) -> None:
    with store.reading() as session:
        job = session.get_one(Job, lease.job_id)
        complete_at, study = job.complete_at, _whose(session, files, job)
        reason, withdrawn = _reason(session, job), is_withdrawal(job)
    headers = [_header(each, study) for each in superseded]
    note = encode_rejection_note(
        headers,
        revision=lease.revision,
        content_at=complete_at,
        reason=reason,
        withdrawn=withdrawn,
    )
    written = write_result(files, lease, EncodedResult("REJECTED", "", note))
    with store.writing() as session:
        job = hold(session, lease)
        known = {result.sop_instance_uid: result for result in job.results}
        row = known.get(written.sop_instance_uid)
        if row is None:
            row = written.row()
            job.results.append(row)
        row.deliveries.append(Delivery(destination=destination.name, state=PENDING))


def _reason(session: Session, job: Job) -> RejectionReason:
    """Results of images that are of nobody's interest any more have to go from every list."""
    if not is_withdrawal(job):
        return "quality"
    only_quality = rejections(session, job) <= {REJECTED_FOR_QUALITY}
    return "quality" if only_quality else "patient safety"


def _whose(session: Session, files: Files, job: Job) -> Dataset:
    """One of the new objects, else an image: of old results retention may have the files."""
    if job.results:
        return pydicom.dcmread(files.absolute(job.results[0].path), stop_before_pixels=True)
    # A prior that was fetched may tell of the patient by another hospital's number.
    image = next(each for each in instances_of(session, job) if each.route != PRIOR_ROUTE)
    place = Place(image.path, image.pack_offset, image.size_bytes, image.content)
    with open_original(files, place) as stream:
        header = read_header(stream)
    # Else every result would be named as an image.
    for keyword in ("Rows", "Columns"):
        header.pop(keyword, None)
    return header


def _header(superseded: _Superseded, study: Dataset) -> Dataset:
    """What the note needs of an object: its UIDs, and the patient and study of another."""
    header = Dataset()
    header.update(study)
    own = {
        "SOPClassUID": superseded.sop_class_uid,
        "SeriesInstanceUID": superseded.series_uid,
        "SOPInstanceUID": superseded.sop_instance_uid,
    }
    for keyword, value in own.items():
        # Assigned to its attribute it would be written into the element that all headers share.
        header[keyword] = DataElement(keyword, "UI", value)
    return header


def _named_in(note: Dataset) -> set[str]:
    return {
        str(reference.ReferencedSOPInstanceUID)
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }


def _mark(store: Store, lease: Lease, superseded: Sequence[_Superseded], text: str | None) -> None:
    with store.writing() as session:
        hold(session, lease)
        for each in superseded:
            session.get_one(Delivery, each.delivery_id).state = REPLACED
        if text is not None:
            record(session, lease.study_uid, lease.revision, "replacement", text)


def _tell(store: Store, lease: Lease, text: str) -> None:
    _mark(store, lease, [], text)
