"""Retention, on SQLite and on PostgreSQL: what goes, what stays, and what comes again."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import event, func, select

import node.retention.expiry as node_expiry
import node.retention.removal as node_removal
from node.arrival import Arrival, classify, renew_known
from node.commitment.custody import failure_reason
from node.errors import IllegalMoveError, NotFoundError
from node.header import STUDY_KEYS
from node.instance import Claim
from node.job import DELIVERING, DONE, FAILED, QUEUED, RECEIVING, REMOVED, RUNNING, utc_now
from node.query.catalog import find, known_keywords
from node.query.levels import Selection, read_query
from node.retention.clock import SteadyClock
from node.retention.expiry import Expiry, expire_until, look
from node.retention.hold import held
from node.retention.leftovers import Leftovers
from node.retention.removal import BY_HAND, Rule, candidates
from node.retrieve.holdings import hold
from node.retry import retry
from node.settings import Settings
from node.status import study_status
from node.store.commitments import Asked, Reference, keep_request, mark_reported
from node.store.deliveries import studies_with_dead_letters
from node.store.session import Store
from node.store.tables import (
    Base,
    Delivery,
    Event,
    FindingRow,
    Instance,
    Job,
    ModelRun,
    PriorRequest,
    Removal,
    Result,
    Series,
    Study,
)
from node.store.turn import FileTurn
from node.web.app import create_app
from node.web.metrics import StoreCollector, _deliveries, _received
from tests.analysed import Said, scan
from tests.datasets import encapsulated_pdf, mammogram
from tests.peers.asking import identifier
from tests.peers.wire import encoded
from tests.resting import KEEP_DAYS, Resting, later
from tests.results import referenced
from tests.stored import files_of, original

SECRET = "SECRETNAME"
# In a row, in a pack, in a file of its own.
SMALL, MEDIUM, LARGE = (64, 48), (500, 400), (1000, 800)
SIZES = pytest.mark.parametrize("size_px", [SMALL, MEDIUM, LARGE])


@pytest.fixture
def node(settings: Settings, store: Store) -> Resting:
    """A node without network."""
    return Resting(settings, store)


def film(study_uid: str | None = None, size_px: tuple[int, int] = SMALL, **changes: Any):
    """A mammogram of a patient of its own, whose name nobody may read afterwards."""
    dataset = mammogram(study_uid, size_px=size_px)
    dataset.PatientName = f"{SECRET}^ANNA"
    dataset.PatientID = f"ID-{dataset.StudyInstanceUID[-12:]}"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def again(dataset: FileDataset) -> FileDataset:
    """The same object as a modality sends it a second time."""
    stream = BytesIO()
    dataset.save_as(stream)
    stream.seek(0)
    return dcmread(stream)


def count(store: Store, table: type[Base]) -> int:
    """How many rows."""
    with store.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def write(store: Store, change: Callable[[Any], object]) -> None:
    """Change rows."""
    with store.writing() as session:
        change(session)


def test_without_days_nothing_ever_goes(node: Resting) -> None:
    """SENTINODE_KEEP_DAYS is 0 unless someone says otherwise, and then nothing is too old."""
    study_uid = node.done(film())
    assert node.settings.keep_days == 0
    assert node.expire(after_days=10_000, days=node.settings.keep_days) == 0
    assert node.study(study_uid).state == DONE


@SIZES
def test_a_study_goes_whole_when_nothing_happened_for_so_long(
    node: Resting, store: Store, size_px: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    """Not a day earlier; rows, files and patient data go, the record of what was sent stays."""
    caplog.set_level(logging.INFO)
    image = film(size_px=size_px)
    study_uid = node.done(image, said=Said(findings=2))
    assert node.expire(after_days=KEEP_DAYS - 1) == 0
    assert node.files_of(study_uid)
    node.inbox.close()
    assert node.expire() == 1
    for table in (Instance, Series, FindingRow, PriorRequest):
        assert count(store, table) == 0, table
    assert count(store, Result) == count(store, Delivery) > 0
    assert count(store, ModelRun) > 0
    assert node.files_of(study_uid) == files_of(node.settings.state_dir) == set()
    assert not list(node.settings.state_dir.glob(f"*/{study_uid}"))
    study = node.study(study_uid)
    assert (study.state, study.revision) == (REMOVED, 0)
    assert {getattr(study, keyword) for keyword in STUDY_KEYS} == {""}
    with store.reading() as session:
        removal = session.scalars(select(Removal)).one()
        told = session.scalars(select(Event).where(Event.stage == REMOVED)).one()
        assert session.scalars(select(Job.state)).one() == REMOVED
    assert (removal.keep_days, removal.rule, removal.instances) == (KEEP_DAYS, "KEEP_DAYS", 1)
    assert removal.received_bytes > 0
    assert removal.result_bytes > 0
    assert (removal.paths, removal.due_at) == ([], None)
    assert f"{removal.received_bytes + removal.result_bytes} bytes" in told.text
    (line,) = [record for record in caplog.records if record.message == "study removed"]
    assert line.__dict__["study"] == study_uid
    assert SECRET not in str(line.__dict__) + told.text + _dump(store)


def _dump(store: Store) -> str:
    with store.reading() as session:
        tables = [
            row for table in Base.metadata.sorted_tables for row in session.execute(select(table))
        ]
    return str(tables)


def _waiting_prior(node: Resting, study_uid: str) -> None:
    request = {"rule": "old", "state": "waiting", "due_at": utc_now(), "attempts": 0}
    write(node.store, lambda session: session.add(PriorRequest(study_uid=study_uid, **request)))


def _other_study(node: Resting, study_uid: str) -> str:
    """Another study of the same patient, done."""
    patient = node.study(study_uid).PatientID
    other = scan()
    other.PatientID = patient
    return node.done(other)


def _priors_of_another(node: Resting, study_uid: str) -> None:
    other = _other_study(node, study_uid)
    _waiting_prior(node, other)


def _another_is_at_work(node: Resting, study_uid: str) -> None:
    other = scan()
    other.PatientID = node.study(study_uid).PatientID
    node.received(other)


def _open_delivery(node: Resting, _study_uid: str) -> None:
    def reopen(session: Any) -> None:
        session.scalars(select(Delivery)).first().state = "dead"

    write(node.store, reopen)


def _commitment(node: Resting, study_uid: str) -> None:
    with node.store.reading() as session:
        row = session.scalars(select(Instance).where(Instance.study_uid == study_uid)).one()
    asked = Asked("2.25.99", (Reference(row.sop_class_uid, row.sop_instance_uid),))
    assert keep_request(node.store, asked, "MODALITY", "10.0.0.1", node.settings) is not None


def _younger_delivery(node: Resting, _study_uid: str) -> None:
    def confirm(session: Any) -> None:
        session.scalars(select(Delivery)).first().confirmed_at = later(KEEP_DAYS)

    write(node.store, confirm)


def _younger_job(node: Resting, _study_uid: str) -> None:
    def touch(session: Any) -> None:
        session.scalars(select(Job)).first().due_at = later(KEEP_DAYS)

    write(node.store, touch)


def _younger_instance(node: Resting, _study_uid: str) -> None:
    def touch(session: Any) -> None:
        session.scalars(select(Instance)).first().received_at = later(KEEP_DAYS)

    write(node.store, touch)


def _held(node: Resting, _study_uid: str) -> None:
    def touch(session: Any) -> None:
        session.scalars(select(Study)).first().held_until = later(KEEP_DAYS + 2)

    write(node.store, touch)


def _an_earlier_job(node: Resting, study_uid: str) -> None:
    """A person retried it in the very moment that the next revision was opened."""

    def send_on(session: Any) -> None:
        first = session.scalars(select(Job)).one()
        state = {"study_uid": study_uid, "revision": 2, "state": DONE}
        times = {"due_at": first.due_at, "complete_at": first.complete_at}
        session.add(Job(**state, **times))
        first.state = DELIVERING

    write(node.store, send_on)


OBSTACLES: dict[str, Callable[[Resting, str], object]] = {
    "younger": _younger_instance,
    "younger ": _younger_job,
    "younger  ": _younger_delivery,
    "not delivered": _open_delivery,
    "priors are asked for": _waiting_prior,
    "priors are asked for ": _priors_of_another,
    "another study of the patient is at work": _another_is_at_work,
    "Storage Commitment is asked for": _commitment,
    "being retrieved": _held,
    "at work": _an_earlier_job,
}


@pytest.mark.parametrize("reason", OBSTACLES)
def test_what_keeps_a_study(node: Resting, reason: str) -> None:
    """Whatever is still going on keeps it, and a dry run tells what that is."""
    study_uid = node.done(film())
    OBSTACLES[reason](node, study_uid)
    found = {each.study_uid: each.reason for each in look(node.store, Rule(KEEP_DAYS), later(31))}
    assert found[study_uid] == reason.strip()
    node.expire()
    assert node.study(study_uid).state == DONE
    assert node.files_of(study_uid)


@pytest.mark.parametrize("state", [RECEIVING, QUEUED, RUNNING, DELIVERING, FAILED])
def test_only_what_is_at_rest_goes(node: Resting, state: str) -> None:
    """Work that goes on stays, however old; and a failed study waits for a person."""
    image = film()
    if state == RECEIVING:
        assert node.receive(image) == "new"
    elif state == QUEUED:
        node.received(image)
    elif state == RUNNING:
        node.analysed(image)
    else:
        node.done(image, end=FAILED)
        if state == DELIVERING:
            retry(node.store, image.StudyInstanceUID)
    assert node.study(image.StudyInstanceUID).state == state
    assert node.expire(after_days=400) == 0
    assert node.study(image.StudyInstanceUID).state == state


def test_a_late_image_that_waits_keeps_a_study(node: Resting) -> None:
    """The job is done, and the next revision is being received."""
    image = film()
    study_uid = node.done(image)
    node.receive(film(study_uid, ViewPosition="MLO"))
    assert node.expire(after_days=400) == 0


def test_a_person_lets_a_failed_study_go(node: Resting, store: Store) -> None:
    """By hand, and no others with it."""
    failed, done = node.done(film(), end=FAILED), node.done(film())
    assert node.expire(rule=Rule(KEEP_DAYS, BY_HAND, (FAILED,))) == 1
    assert (node.study(failed).state, node.study(done).state) == (REMOVED, DONE)
    with pytest.raises(NotFoundError, match="removed"):
        retry(store, failed)


def test_a_failed_study_that_is_gone_alerts_nobody(node: Resting, store: Store) -> None:
    """What was refused of it is neither counted nor tried again."""
    node.done(film(), end=FAILED)
    _open_delivery(node, "")

    def dead() -> tuple[int, list[str]]:
        with store.reading() as session:
            (metric,) = _deliveries(session)
            told = [each.value for each in metric.samples if each.labels["state"] == "dead"]
            return int(sum(told)), studies_with_dead_letters(session, "archive")

    assert dead()[0] == len(dead()[1]) == 1
    node.expire(rule=Rule(KEEP_DAYS, BY_HAND, (FAILED,)))
    assert dead() == (0, [])


def test_a_removal_during_a_scrape_counts_nothing_twice(node: Resting) -> None:
    """What has gone from the instances is among what was removed: one moment, not two."""
    node.done(film())
    site = create_app(node.settings).state.site
    collector = StoreCollector(site)

    def received() -> list[float]:
        names = ("sentinode_instances_received", "sentinode_received_bytes")
        found = [metric for metric in collector.collect() if metric.name in names]
        return [metric.samples[0].value for metric in found]

    before = received()

    def remove(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM instance" in statement and not node.removals():
            with ThreadPoolExecutor(1) as other:
                assert other.submit(node.expire).result() == 1

    event.listen(site.store.engine, "after_cursor_execute", remove)
    assert received() == before
    assert node.removals() == 1
    assert received() == before
    site.store.close()


def test_skipped_studies_and_priors_go_too(node: Resting) -> None:
    """A study without a job, and one that was only fetched for comparison."""
    pdf, prior = encapsulated_pdf(), film()
    node.receive(pdf)
    node.sweep(1000)
    node.settle([prior], originator=node.settings.ae_title)
    assert node.expire() == 2
    # And either begins anew.
    node.settle([again(prior)], originator=node.settings.ae_title)
    node.receive(again(pdf))
    node.sweep(1000)
    for study_uid in (pdf.StudyInstanceUID, prior.StudyInstanceUID):
        assert node.study(study_uid).state == "skipped"
        assert node.study(study_uid).PatientID
    assert "prior" in (node.study(prior.StudyInstanceUID).error or "")


@SIZES
def test_a_study_that_comes_again_is_stored_and_analysed_again(
    node: Resting, store: Store, size_px: tuple[int, int]
) -> None:
    """New on disk and in rows; its results are the next revision's and name the last ones."""
    images = [film(size_px=size_px)]
    images.append(film(images[0].StudyInstanceUID, size_px, PatientID=images[0].PatientID))
    study_uid = node.done(*images, said=Said(findings=1))
    first = node.job(study_uid, 1).id
    assert node.expire() == 1
    repeated = [again(image) for image in images]
    assert node.settle(repeated) == ["new", "new"], "the bytes are not here any more"
    study = node.study(study_uid)
    assert (study.state, study.revision) == (RECEIVING, 0)
    assert study.PatientName.startswith(SECRET)
    assert node.settle([again(images[0])]) == ["same"]
    (bell,) = node.sweep(1000)
    with store.reading() as session:
        rows = session.scalars(select(Instance).order_by(Instance.id)).all()
        series = session.scalars(select(Series.series_uid)).all()
    assert {row.revision for row in rows} == {2}
    assert set(series) == {image.SeriesInstanceUID for image in images}
    for row, image in zip(rows, images, strict=True):
        assert original(store, node.files.root, row.id)[row.dataset_offset :] == encoded(image)
    node.finish(bell.job_id, Said(findings=1))
    assert node.study(study_uid).revision == 2
    old, new = results(store, first), results(store, bell.job_id)
    assert old.keys() & new.keys() == set(), "an archive keeps the first object of a UID"
    (report,) = [path for path, kind in new.values() if kind == "SR"]
    (replaced,) = [uid for uid, (_, kind) in old.items() if kind == "SR"]
    written = dcmread(node.files.absolute(report))
    assert referenced(written, "PredecessorDocumentsSequence") == {study_uid: {replaced}}
    with store.reading() as session:
        assert study_status(session, study_uid)["results"], "those of the new revision"
    assert node.expire() == 1, "and it goes again"
    assert files_of(node.settings.state_dir) == set() or size_px == MEDIUM


def results(store: Store, job_id: int) -> dict[str, tuple[str, str]]:
    """Path and kind of a job's results by UID."""
    with store.reading() as session:
        rows = session.scalars(select(Result).where(Result.job_id == job_id))
        return {row.sop_instance_uid: (row.path, row.kind) for row in rows}


def test_a_revision_after_removal_is_counted_on(node: Resting, store: Store) -> None:
    """A late image of a study that came again makes the revision after that."""
    image = film()
    study_uid = node.done(image)
    node.done(film(study_uid, PatientID=image.PatientID))
    node.expire()
    node.receive(again(image))
    (bell,) = node.sweep(1000)
    node.finish(bell.job_id)
    assert node.study(study_uid).revision == 3
    node.done(film(study_uid, PatientID=image.PatientID))
    with store.reading() as session:
        jobs = session.execute(select(Job.revision, Job.state).order_by(Job.revision)).all()
    assert [tuple(job) for job in jobs] == [(1, REMOVED), (2, REMOVED), (3, DONE), (4, DONE)]


def test_sending_again_counts_as_something_that_happened(node: Resting, store: Store) -> None:
    """Who sends an image and hears success has it here for as long as a new one."""
    image = film()
    study_uid = node.done(image)
    node.age(study_uid, KEEP_DAYS - 1)
    assert node.receive(again(image)) == "same"
    assert node.expire(after_days=2) == 0
    assert node.expire(after_days=KEEP_DAYS + 1) == 1


def test_packs_are_shared(node: Resting, store: Store) -> None:
    """A pack stays while another study needs it, or while it is being filled; then it goes."""
    first, second = film(size_px=MEDIUM), film(size_px=MEDIUM)
    node.done(first)
    node.done(second)
    (pack,) = files_of(node.settings.state_dir)
    node.age(str(second.StudyInstanceUID), -10)
    assert node.expire() == 1
    with store.reading() as session:
        (row,) = session.scalars(select(Instance)).all()
    whole = original(store, node.files.root, row.id)
    assert whole[row.dataset_offset :] == encoded(second)
    assert node.expire(after_days=KEEP_DAYS + 11) == 1
    assert files_of(node.settings.state_dir) == {pack}, "its process still fills it"
    third = film(size_px=MEDIUM)
    node.receive(third)
    node.inbox.close()
    assert node.expire(after_days=KEEP_DAYS + 12) == 0
    assert files_of(node.settings.state_dir) == {pack}, "it was not empty after all"
    node.sweep(1000)
    with store.reading() as session:
        job = session.scalars(select(Job).where(Job.study_uid == third.StudyInstanceUID)).one()
    node.finish(job.id)
    assert node.expire(after_days=KEEP_DAYS + 13) == 1
    assert files_of(node.settings.state_dir) == set()


def test_what_is_stored_again_before_the_files_went_stays(node: Resting, store: Store) -> None:
    """The folder of the study has old files and new ones; only those without a row go."""
    image = film(size_px=LARGE)
    study_uid = node.done(image)
    before = files_of(node.settings.state_dir)
    node.age(study_uid, KEEP_DAYS + 1)
    gone = node_removal.remove_study(store, node.files, study_uid, Rule(KEEP_DAYS), utc_now())
    assert gone is not None
    assert files_of(node.settings.state_dir) == before, "the rows go first"
    node.receive(again(image))
    node.expire(after_days=1)
    after = files_of(node.settings.state_dir)
    assert len(after) == 1
    assert after.isdisjoint(before)
    with store.reading() as session:
        row = session.scalars(select(Instance)).one()
    assert original(store, node.files.root, row.id)[row.dataset_offset :] == encoded(image)


def test_what_is_committed_while_a_folder_is_looked_at_stays(
    node: Resting, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the clock says of its age: a disk's clock may differ from that of the host."""
    image = film(size_px=LARGE)
    study_uid = node.done(image)
    node.age(study_uid, KEEP_DAYS + 1)
    gone = node_removal.remove_study(store, node.files, study_uid, Rule(KEEP_DAYS), utc_now())
    assert gone is not None
    scan_folder, arriving = os.scandir, [again(image)]

    def receive_first(folder: Path) -> Any:
        if arriving and folder.name == study_uid:
            assert node.receive(arriving.pop()) == "new"
        return scan_folder(folder)

    monkeypatch.setattr(os, "scandir", receive_first)
    node.expire(after_days=1)
    assert not arriving
    with store.reading() as session:
        row = session.scalars(select(Instance)).one()
    assert original(store, node.files.root, row.id)[row.dataset_offset :] == encoded(image)


def test_other_bytes_in_the_place_of_removed_ones_are_noticed(node: Resting, store: Store) -> None:
    """Between the look of a receiver and its lock: removed, and stored again by another process."""
    image = film()
    study_uid = node.done(image)
    node.age(study_uid, KEEP_DAYS + 1)
    other = again(image)
    other.BodyPartThickness = "51"
    arrival = _arriving(node, image)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        classify(connection, node.files, [arrival])
        assert arrival.kind == "same"
        assert node.expire(after_days=0) == 1
        assert node.receive(other) == "new"
        assert renew_known(connection, [arrival], utc_now())
        classify(connection, node.files, [arrival])
        assert arrival.kind == "conflict"


def test_what_is_removed_while_it_is_compared_is_noticed(
    node: Resting, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks of a receiver at one row."""
    image = film()
    study_uid = node.done(image)
    node.age(study_uid, KEEP_DAYS + 1)
    arrival, open_arrived = _arriving(node, image), Arrival.open

    def expire_first(arrived: Arrival) -> BinaryIO:
        node.expire(after_days=0)
        return open_arrived(arrived)

    monkeypatch.setattr(Arrival, "open", expire_first)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        classify(connection, node.files, [arrival])
        assert renew_known(connection, [arrival], utc_now())
        classify(connection, node.files, [arrival])
        assert arrival.kind == "new"


def _arriving(node: Resting, image: FileDataset) -> Arrival:
    """An object that has been read and is not yet looked up."""
    uids = image.SOPClassUID, image.SOPInstanceUID, ExplicitVRLittleEndian
    incoming = node.inbox.open(Claim(*uids, "MODALITY", "10.0.0.1"))
    incoming.write(encoded(image))
    arrival = node.inbox._prepare(incoming)
    assert isinstance(arrival, Arrival)
    return arrival


def test_a_study_that_cannot_be_removed_holds_up_no_other(
    node: Resting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with its rows, the sweeper's thread goes on, and with the next."""
    first, second = node.done(film()), node.done(film())
    node.age(first, KEEP_DAYS + 2)
    node.age(second, KEEP_DAYS + 1)

    def remove_others(session: Any, study: Study, *rest: Any) -> None:
        if study.study_uid == first:
            raise IllegalMoveError("a test")
        remove(session, study, *rest)

    remove = node_removal.remove
    monkeypatch.setattr(node_removal, "remove", remove_others)
    monkeypatch.setattr(node_expiry, "_REST_SECONDS", 0.01)
    stop = threading.Event()
    expiry = Expiry(node.store, node.files, Rule(KEEP_DAYS))
    with ThreadPoolExecutor(1) as pool:
        sweeping = pool.submit(expire_until, stop, expiry, 0.01)
        deadline = time.monotonic() + 20
        while node.study(second).state != REMOVED and not sweeping.done():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        stop.set()
        sweeping.result(20)
    assert (node.study(first).state, node.study(second).state) == (DONE, REMOVED)
    assert [record for record in caplog.records if record.exc_info]


def test_removals_and_receivers_take_turns(node: Resting, store: Store) -> None:
    """Else, on SQLite, a receiver might wait for a whole turn of removals."""
    study_uid = node.done(film())
    turn = store.turn()
    with ThreadPoolExecutor(1) as pool:
        with turn:
            removal = pool.submit(node.expire)
            if isinstance(turn, FileTurn):
                with pytest.raises(TimeoutError):
                    removal.result(0.5)
                assert node.study(study_uid).state == DONE
        assert removal.result(20) == 1


class Clocks:
    """The two clocks of a host."""

    def __init__(self) -> None:
        self.wall, self.uptime = utc_now(), 1000.0

    def advance(self, seconds: float, leap_days: float = 0.0) -> None:
        """Let time pass, and the time of day leap beside that."""
        self.uptime += seconds
        self.wall += timedelta(seconds=seconds, days=leap_days)


def steady(store: Store, clocks: Clocks) -> SteadyClock:
    """What a sweeper that starts now goes by."""
    return SteadyClock(store, lambda: clocks.wall, lambda: clocks.uptime)


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "at the start"])
def test_a_clock_that_leaps_ahead_is_not_believed_for_a_day(
    node: Resting, store: Store, is_running: bool
) -> None:
    """A year ahead everything is old: people have a day to notice; then it may be true."""
    study_uid, clocks = node.done(film()), Clocks()
    clock = steady(store, clocks)
    if is_running:
        assert clock.now() == clocks.wall
    clocks.advance(60, leap_days=365)
    expiry = Expiry(store, node.files, Rule(KEEP_DAYS), clock.now)
    for _ in range(23):
        assert clock.now() is None
        assert not expiry.turn()
        clocks.advance(3600)
    assert node.study(study_uid).state == DONE
    clocks.advance(3660)
    assert clock.now() == clocks.wall
    while expiry.turn():
        pass
    assert node.study(study_uid).state == REMOVED


def test_a_clock_that_is_set_right_again_is_believed(node: Resting, store: Store) -> None:
    """Back where it was, or before that, or a little ahead by daylight saving."""
    node.done(film())
    clocks = Clocks()
    clock = steady(store, clocks)
    assert clock.now() is not None
    clocks.advance(60, leap_days=365)
    assert clock.now() is None
    clocks.advance(60, leap_days=-365)
    assert clock.now() == clocks.wall
    clocks.advance(60, leap_days=-40)
    assert clock.now() == clocks.wall
    clocks.advance(60, leap_days=40)
    assert clock.now() is None, "measured from where it was last"
    clocks.advance(60, leap_days=-40)
    clocks.advance(60, leap_days=1 / 24)
    assert clock.now() == clocks.wall


def test_an_empty_node_believes_its_clock(store: Store) -> None:
    """There is nothing to compare it with, and nothing to lose."""
    clocks = Clocks()
    assert steady(store, clocks).now() == clocks.wall


def test_nobody_is_told_of_a_removed_study(node: Resting, store: Store) -> None:
    """C-FIND, C-MOVE and Storage Commitment answer as if it had never been here."""
    image = film(size_px=LARGE)
    study_uid = node.done(image, said=Said(findings=1))
    reference = Reference(str(image.SOPClassUID), str(image.SOPInstanceUID))
    asked = [
        read_query(identifier("STUDY", StudyInstanceUID="", PatientName=""), known_keywords),
        read_query(
            identifier("STUDY", StudyInstanceUID=study_uid, ModalitiesInStudy="SR"), known_keywords
        ),
        read_query(
            identifier("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID=""), known_keywords
        ),
    ]
    there = [len(list(find(query, store, node.files))) for query in asked]
    assert there == [1, 1, 3]
    assert hold(store, node.files, Selection("STUDY", (study_uid,))).count == 3
    assert failure_reason(store, node.files, reference) is None
    node.expire()
    assert [list(find(query, store, node.files)) for query in asked] == [[], [], []]
    assert hold(store, node.files, Selection("STUDY", (study_uid,))).count == 0
    assert failure_reason(store, node.files, reference) == 0x0112
    with store.reading() as session:
        status = study_status(session, study_uid)
    assert (status["state"], status["instances"], status["results"]) == (REMOVED, 0, [])
    assert [event["stage"] for event in status["events"]][-1] == REMOVED


def test_a_retrieval_holds_its_studies(node: Resting, store: Store, settings: Settings) -> None:
    """While it lasts, and not for ever."""
    study_uid = node.done(film())
    node.age(study_uid, KEEP_DAYS + 1)
    with held(store, [study_uid], settings):
        assert node.expire(after_days=0) == 0
    assert node.expire(after_days=1) == 1


def test_a_commitment_that_was_answered_holds_nothing(node: Resting, store: Store) -> None:
    """Only a request that still waits does."""
    image = film()
    node.done(image)
    asked = Asked("2.25.98", (Reference(str(image.SOPClassUID), str(image.SOPInstanceUID)),))
    claim = keep_request(store, asked, "MODALITY", "10.0.0.1", node.settings)
    assert node.expire() == 0
    assert claim is not None
    mark_reported(store, claim)
    assert node.expire() == 1


@pytest.mark.parametrize("is_late", [True, False], ids=["a late image", "the same image"])
def test_an_image_that_comes_while_its_study_goes(
    node: Resting, store: Store, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    """It waits for the removal and is stored anew: acknowledged, on disk, to be analysed."""
    image = film(size_px=LARGE)
    study_uid = node.done(image)
    node.age(study_uid, KEEP_DAYS + 1)
    arriving = film(study_uid, LARGE, ViewPosition="MLO") if is_late else again(image)
    removing, go_on = threading.Event(), threading.Event()

    def remove_slowly(*arguments: Any) -> None:
        removing.set()
        assert go_on.wait(20)
        remove(*arguments)

    remove = node_removal.remove
    monkeypatch.setattr(node_removal, "remove", remove_slowly)
    with ThreadPoolExecutor(2) as pool:
        removal = pool.submit(node.expire, 0)
        assert removing.wait(20)
        receiving = pool.submit(node.receive, arriving)
        with pytest.raises(TimeoutError):
            receiving.result(1)
        go_on.set()
        assert removal.result(20) == 1
        assert receiving.result(20) == "new"
    with store.reading() as session:
        row = session.scalars(select(Instance)).one()
        assert session.scalars(select(Series.series_uid)).one() == arriving.SeriesInstanceUID
    assert original(store, node.files.root, row.id)[row.dataset_offset :] == encoded(arriving)
    assert node.study(study_uid).state == RECEIVING
    (bell,) = node.sweep(1000)
    assert node.claimed(bell.job_id).revision == 2


def test_a_volume_that_is_not_mounted(node: Resting, tmp_path: Path) -> None:
    """Files that cannot be seen are not gone: they wait for their folder."""
    node.age(node.done(film(size_px=LARGE)), KEEP_DAYS + 1)
    root = node.settings.state_dir
    elsewhere = (root / "instances").rename(tmp_path / "unmounted")
    assert node.expire(after_days=1) == 1
    elsewhere.rename(root / "instances")
    assert files_of(root)
    node.expire(after_days=1)
    assert files_of(root) == set()


@pytest.mark.parametrize(
    "path",
    [
        *("", "..", "results", "results/2.25.1", "results/2.25.2/1", "results/2.25.1/.."),
        *("instances/..", "packs", "packs/..", "packs/../results/2.25.2/1/report.dcm"),
        "{root}/results/2.25.2/1",
    ],
)
def test_a_path_that_is_none_of_the_study_is_left_alone(
    node: Resting, store: Store, path: str
) -> None:
    """Whoever wrote it into the database: nothing is taken that a removal does not name so."""
    root = node.settings.state_dir
    kept = root / "results" / "2.25.2" / "1" / "report.dcm"
    node.files.write(str(kept.relative_to(root)), b"of another study")
    now = utc_now()
    weight = {"instances": 1, "received_bytes": 1, "results": 1, "result_bytes": 1}
    with store.writing() as session:
        times = {"first_instance_at": now, "last_instance_at": now}
        session.add(Study(study_uid="2.25.1", state=REMOVED, **times))
        session.flush()
        removal = {"study_uid": "2.25.1", "removed_at": now, "due_at": now, "keep_days": 1}
        paths = [path.replace("{root}", str(root))]
        session.add(Removal(**removal, rule=BY_HAND, paths=paths, **weight))
    Leftovers(store, node.files).clear_due(later(1), 1)
    assert kept.is_file()
    with store.reading() as session:
        assert session.scalars(select(Removal.paths)).one() == paths


def test_several_sweepers_and_receivers(node: Resting, store: Store) -> None:
    """Each study goes once, and what is sent again meanwhile is stored."""
    images = [film() for _ in range(12)]
    for image in images:
        node.age(node.done(image), KEEP_DAYS + 1)
    with ThreadPoolExecutor(4) as pool:
        passes = [pool.submit(node.expire, 0) for _ in range(3)]
        sent = pool.submit(lambda: [node.receive(again(image)) for image in images])
        assert set(sent.result(60)) <= {"new", "same"}
        for each in passes:
            each.result(60)
    with store.reading() as session:
        removed = list(session.scalars(select(Removal.study_uid)))
        rows = session.scalars(select(Instance)).all()
    assert len(removed) == len(set(removed))
    assert {row.sop_instance_uid for row in rows} == {image.SOPInstanceUID for image in images}
    for row in rows:
        assert len(original(store, node.files.root, row.id)) == row.size_bytes


def test_a_pass_is_made_in_turns(node: Resting, store: Store) -> None:
    """A turn takes so many studies and no more, and what stays does not hold up what follows."""
    now, uids = utc_now(), [f"2.25.{number}" for number in range(1000, 1130)]
    with store.writing() as session:
        for number, uid in enumerate(uids):
            times = {"first_instance_at": now, "last_instance_at": now - timedelta(days=40)}
            held_until = now + timedelta(days=1) if number < 60 else None
            session.add(Study(study_uid=uid, state="skipped", held_until=held_until, **times))
    expiry, turns = Expiry(store, node.files, Rule(KEEP_DAYS)), []
    while expiry.turn(now):
        turns.append(node.removals())
    assert node.removals() == 70
    assert all(later - earlier <= 50 for earlier, later in pairwise(turns))
    with store.reading() as session:
        left = set(session.scalars(select(Study.study_uid).where(Study.state == "skipped")))
    assert left == set(uids[:60])


def test_candidates_come_from_the_index(node: Resting, store: Store) -> None:
    """What a turn costs does not grow with what is kept, or was removed before."""
    statements = []
    with store.reading() as session:
        connection = session.connection()
        event.listen(
            connection, "before_cursor_execute", lambda *told: statements.append(told[2:4])
        )
        candidates(session, DONE, utc_now(), (utc_now(), "1"), 50)
    (statement, parameters) = statements[0]
    explain = "EXPLAIN QUERY PLAN " if store.engine.dialect.name == "sqlite" else "EXPLAIN "
    with store.engine.connect() as connection:
        if store.engine.dialect.name == "postgresql":
            # Of an empty table a sequential scan is as good.
            connection.exec_driver_sql("SET enable_seqscan = off")
        plan = str(connection.exec_driver_sql(explain + statement, parameters).all())
    assert "ix_study_state_last_instance_at" in plan, plan


def test_counters_never_count_down(node: Resting, store: Store) -> None:
    """Prometheus takes a counter that falls for a restart."""
    node.done(film(), said=Said(findings=1))

    def counted() -> dict[str, float]:
        with store.reading() as session:
            return {
                sample.name: sample.value
                for metric in _received(session)
                for sample in metric.samples
            }

    before = counted()
    node.expire()
    after = counted()
    for name in ("sentinode_instances_received_total", "sentinode_received_bytes_total"):
        assert after[name] == before[name] > 0
    assert (before["sentinode_removed_studies_total"], before["sentinode_removed_bytes_total"]) == (
        0,
        0,
    )
    assert after["sentinode_removed_studies_total"] == 1
    assert after["sentinode_removed_bytes_total"] > after["sentinode_received_bytes_total"]
