"""Completion, revisions, leases and retries, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing
from sqlalchemy import select

from node.errors import IllegalMoveError, LeaseLostError, NotFoundError
from node.job import (
    DELIVERING,
    DONE,
    FAILED,
    QUEUED,
    RECEIVING,
    RUNNING,
    SKIPPED,
    Lease,
    claim,
    hold,
    move,
    postpone,
    renew,
    utc_now,
    wait_until,
)
from node.retry import retry
from node.settings import Settings
from node.status import study_status
from node.store.session import Store
from node.store.tables import Delivery, Event, Job, ModelRun, Result, Study
from tests.analysed import Analysed
from tests.datasets import encapsulated_pdf, mammogram
from tests.stored import original


class Node(Analysed):
    """The node's first stages and what a worker does to a job."""

    def state(self, study_uid: str) -> tuple[str, int]:
        """State and revision of a study."""
        with self.store.reading() as session:
            study = session.get_one(Study, study_uid)
            return study.state, study.revision

    def lease(self, job_id: int, state: str = RUNNING, owner: str = "w1") -> Lease | None:
        """Claim a job."""
        return claim(self.store, job_id, owner, state, self.settings)

    def advance(self, lease: Lease, state: str) -> None:
        """Move a held job."""
        with self.store.writing() as session:
            move(session, hold(session, lease), state, "test")


@pytest.fixture
def node(settings: Settings, store: Store) -> Node:
    """A node without network."""
    return Node(settings, store)


def finish(node: Node, job_id: int, end: str = DONE) -> None:
    """Take a queued job to its end."""
    lease = node.lease(job_id)
    node.infer(lease)
    node.advance(lease, DELIVERING)
    lease = node.lease(job_id, DELIVERING)
    node.advance(lease, end)


def test_complete_only_after_quiet_time(node: Node) -> None:
    """A study becomes a job when its quiet time is over, not before."""
    image = mammogram()
    node.receive(image)
    assert node.sweep(29) == []
    assert node.state(image.StudyInstanceUID) == (RECEIVING, 0)
    bells = node.sweep(31)
    assert len(bells) == 1
    assert node.state(image.StudyInstanceUID) == (QUEUED, 1)
    assert node.sweep(1000) == []


def test_all_expected_views_shorten_the_wait(node: Node) -> None:
    """A standard four-view study does not wait for the whole quiet time."""
    first = mammogram(laterality="L", view="CC")
    uid = first.StudyInstanceUID
    node.receive(first)
    for side, view in [("R", "CC"), ("L", "MLO"), ("R", "MLO")]:
        assert node.sweep(3) == []
        node.receive(mammogram(uid, side, view))
    assert len(node.sweep(3)) == 1


def test_hard_cap_ends_an_endless_study(node: Node, store: Store) -> None:
    """Images that keep coming cannot hold a study open beyond its cap."""
    image = mammogram()
    node.receive(image)
    with store.writing() as session:
        study = session.get_one(Study, image.StudyInstanceUID)
        study.hard_deadline_at = utc_now() + timedelta(seconds=5)
    node.receive(mammogram(image.StudyInstanceUID, view="MLO"))
    assert len(node.sweep(6)) == 1


def test_late_image_opens_the_next_revision(node: Node) -> None:
    """An image after completion waits for the running job and then makes revision 2."""
    image = mammogram()
    uid = image.StudyInstanceUID
    node.receive(image)
    (bell,) = node.sweep(31)
    node.receive(mammogram(uid, "R"))
    assert node.state(uid) == (QUEUED, 1)
    assert node.sweep(60) == [], "the first revision is still being worked on"
    finish(node, bell.job_id)
    assert node.state(uid) == (RECEIVING, 1)
    assert len(node.sweep(60)) == 1
    assert node.state(uid) == (QUEUED, 2)


def test_late_image_does_not_wait_for_an_archive_that_is_away(node: Node, store: Store) -> None:
    """One archive that is down for a day keeps the late image's results from no other."""
    image = mammogram()
    uid = image.StudyInstanceUID
    node.receive(image)
    (bell,) = node.sweep(31)
    lease = node.lease(bell.job_id)
    assert lease is not None
    node.advance(lease, DELIVERING)
    node.receive(mammogram(uid, "R"))
    assert node.sweep(60) == [], "nothing is delivered yet"
    lease = node.lease(bell.job_id, DELIVERING)
    assert lease is not None
    assert node.sweep(60) == [], "a worker is at it"
    with store.writing() as session:
        wait_until(session, hold(session, lease), utc_now() + timedelta(hours=1), "away")
    assert len(node.sweep(60)) == 1
    assert node.state(uid) == (QUEUED, 2)
    with store.reading() as session:
        assert session.get_one(Job, bell.job_id).state == DELIVERING


def test_late_pdf_does_not_reopen(node: Node) -> None:
    """An object that no model wants is kept without a new revision."""
    image = mammogram()
    uid = image.StudyInstanceUID
    node.receive(image)
    (bell,) = node.sweep(31)
    finish(node, bell.job_id)
    node.receive(encapsulated_pdf(uid))
    assert node.sweep(1000) == []
    assert node.state(uid) == (DONE, 1)


def test_late_objects_are_told_once(node: Node, store: Store) -> None:
    """An archive may send back all results of a study; a conflict has a line of its own."""
    image = mammogram()
    uid = image.StudyInstanceUID
    node.receive(image)
    (bell,) = node.sweep(31)
    finish(node, bell.job_id)
    own = [encapsulated_pdf(uid) for _ in range(3)]
    for pdf in own:
        pdf.Manufacturer, pdf.ManufacturerModelName = "Sentinode", "Sentinode breast imaging AI"
    node.receive(own[0])
    node.settle([*own[1:], encapsulated_pdf(uid)])
    image.PatientComments = "changed"
    assert node.receive(image) == "conflict"
    with store.reading() as session:
        events = study_status(session, uid)["events"]
    assert [(event["stage"], event["text"].split(";")[0]) for event in events[-3:]] == [
        ("late object", "kept, not analysed: own results"),
        ("late object", "kept, not analysed: not an image"),
        ("conflict", f"{image.SOPInstanceUID} came again with other content"),
    ]


def test_study_of_pdfs_is_skipped_with_reason(node: Node, store: Store) -> None:
    """A study that nothing can analyse ends as skipped, and says why."""
    pdf = encapsulated_pdf()
    node.receive(pdf)
    assert node.sweep(31) == []
    with store.reading() as session:
        status = study_status(session, pdf.StudyInstanceUID)
    assert status["state"] == SKIPPED
    assert "no pixel data" in status["error"]
    node.receive(mammogram(pdf.StudyInstanceUID))
    assert len(node.sweep(31)) == 1, "a late image brings a skipped study to life"


def test_resend_changes_nothing_and_other_bytes_are_kept_apart(node: Node, store: Store) -> None:
    """The same bytes again are a success; other bytes under that UID never replace them."""
    image = mammogram()
    assert node.receive(image) == "new"
    assert node.receive(image) == "same"
    image.PatientComments = "changed"
    assert node.receive(image) == "conflict"
    assert node.receive(image) == "conflict", "the same again, and kept apart as before"
    with store.reading() as session:
        status = study_status(session, image.StudyInstanceUID)
        instances = session.get_one(Study, image.StudyInstanceUID).instances
    kept = [original(store, node.files.root, instance.id) for instance in instances]
    assert len(kept) == 2
    assert kept[0] != kept[1]
    assert status["instances"] == 1
    assert any(event["stage"] == "conflict" for event in status["events"])


def test_an_object_whose_file_is_gone_is_stored_again(node: Node, store: Store) -> None:
    """ "The same" is a success only while the file is there; else the new one takes its place."""
    image = mammogram(size_px=(1024, 800))
    assert node.receive(image) == "new"
    with store.reading() as session:
        (kept,) = session.get_one(Study, image.StudyInstanceUID).instances
    path = node.files.absolute(kept.path)
    content = path.read_bytes()
    path.unlink()
    assert node.receive(image) == "same"
    assert original(store, node.files.root, kept.id) == content
    assert node.receive(image) == "same"
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("size_px", [(40, 30), (512, 400), (1024, 800)])
def test_objects_of_earlier_versions_are_known_again(
    size_px: tuple[int, int], node: Node, store: Store
) -> None:
    """A row with SHA-256: the same bytes are the same, others are not, a lost file is healed."""
    image = mammogram(size_px=size_px)
    assert node.receive(image) == "new"
    with store.writing() as session:
        (kept,) = session.get_one(Study, image.StudyInstanceUID).instances
        data_set = original(store, node.files.root, kept.id)[kept.dataset_offset :]
        kept.digest = "sha256:" + hashlib.sha256(data_set).hexdigest()
        path = kept.path
    assert node.receive(image) == "same"
    if path:
        node.files.absolute(path).unlink()
        assert node.receive(image) == "same"
        content = original(store, node.files.root, kept.id)
        assert content[kept.dataset_offset :] == data_set
    image.PatientComments = "changed"
    assert node.receive(image) == "conflict"


def test_concurrent_reception_of_one_study(node: Node, store: Store) -> None:
    """Eight associations with images of one new study lose none of them."""
    first = mammogram()
    images = [mammogram(first.StudyInstanceUID, seed=n) for n in range(16)]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(node.receive, images)) == {"new"}
    with store.reading() as session:
        assert study_status(session, first.StudyInstanceUID)["instances"] == 16


def test_only_one_worker_gets_the_lease(node: Node) -> None:
    """Of many workers that hear the same bell, exactly one works."""
    image = mammogram()
    node.receive(image)
    (bell,) = node.sweep(31)
    with ThreadPoolExecutor(8) as pool:
        leases = list(pool.map(lambda n: node.lease(bell.job_id, owner=f"w{n}"), range(8)))
    assert sum(lease is not None for lease in leases) == 1


def test_expired_lease_is_given_away_and_fences_the_first_owner(node: Node, store: Store) -> None:
    """A worker that was silent too long can no longer write."""
    image = mammogram()
    node.receive(image)
    (bell,) = node.sweep(31)
    first = node.lease(bell.job_id, owner="w1")
    assert node.lease(bell.job_id, owner="w2") is None
    with store.writing() as session:
        session.get_one(Job, bell.job_id).lease_until = utc_now() - timedelta(seconds=1)
    second = node.lease(bell.job_id, owner="w2")
    assert second is not None
    with pytest.raises(LeaseLostError):
        renew(store, first, node.settings)
    with pytest.raises(LeaseLostError), store.writing() as session:
        hold(session, first)
    renew(store, second, node.settings)


def test_worker_that_keeps_dying_fails_the_job(node: Node, store: Store) -> None:
    """An image that kills its worker every time is not tried for ever."""
    image = mammogram()
    node.receive(image)
    (bell,) = node.sweep(31)
    for number in range(node.settings.crash_limit):
        assert node.lease(bell.job_id, owner=f"w{number}") is not None
        with store.writing() as session:
            session.get_one(Job, bell.job_id).lease_until = utc_now() - timedelta(seconds=1)
    assert node.lease(bell.job_id, owner="last") is None
    assert node.state(image.StudyInstanceUID) == (FAILED, 1)


def test_workers_that_die_now_and_then_fail_nothing(node: Node, store: Store) -> None:
    """A study that waits for days outlives upgrades: only deaths one after another count."""
    image = mammogram()
    node.receive(image)
    (bell,) = node.sweep(31)
    for number in range(2 * node.settings.crash_limit):
        assert node.lease(bell.job_id, owner=f"w{number}") is not None
        with store.writing() as session:
            session.get_one(Job, bell.job_id).lease_until = utc_now() - timedelta(seconds=1)
        lease = node.lease(bell.job_id, owner=f"next{number}")
        assert lease is not None
        with store.writing() as session:
            job = hold(session, lease)
            if number % 2:
                wait_until(session, job, utc_now(), "the archive is away")
            else:
                postpone(session, job, "Triton does not answer", node.settings)
                job.due_at = utc_now()
    assert node.state(image.StudyInstanceUID) == (RUNNING, 1)


def test_postponed_job_waits_longer_each_time_then_fails(node: Node, store: Store) -> None:
    """Transient failures back off, and end as failed after the give-up time."""
    image = mammogram()
    node.receive(image)
    (bell,) = node.sweep(31)
    pauses = []
    for _ in range(3):
        lease = node.lease(bell.job_id)
        with store.writing() as session:
            postpone(session, hold(session, lease), "Triton does not answer", node.settings)
        with store.writing() as session:
            job = session.get_one(Job, bell.job_id)
            pauses.append((job.due_at - utc_now()).total_seconds())
            job.due_at = utc_now()
    assert pauses == sorted(pauses)
    assert pauses[2] > 3 * pauses[0]
    with store.reading() as session:
        texts = session.scalars(select(Event.text).where(Event.stage == RUNNING)).all()
    assert texts == ["try 1", "again in 5 s: Triton does not answer"]
    lease = node.lease(bell.job_id)
    with store.writing() as session:
        job = hold(session, lease)
        job.failing_since = utc_now() - timedelta(days=2)
        postpone(session, job, "Triton does not answer", node.settings)
    assert node.state(image.StudyInstanceUID)[0] == FAILED


def test_unrung_finds_lost_messages_only(node: Node, store: Store) -> None:
    """A job is rung again when it waits too long without a lease."""
    image = mammogram()
    node.receive(image)
    (bell,) = node.sweep(31)
    with store.writing() as session:
        assert node.unrung(session) == []
        session.get_one(Job, bell.job_id).rung_at = utc_now() - timedelta(seconds=60)
    with store.reading() as session:
        assert node.unrung(session) == [bell.job_id]
    node.lease(bell.job_id)
    with store.reading() as session:
        assert node.unrung(session) == []


def test_illegal_moves_are_refused(node: Node) -> None:
    """A job cannot jump from queued to done."""
    image = mammogram()
    node.receive(image)
    (bell,) = node.sweep(31)
    lease = node.lease(bell.job_id)
    with pytest.raises(IllegalMoveError):
        node.advance(lease, DONE)


def add_run(store: Store, job_id: int, state: str, *, sent: str | None) -> None:
    """Give a job one model run and, if `sent`, a result with a delivery in that state."""
    with store.writing() as session:
        job = session.get_one(Job, job_id)
        job.model_runs.append(
            ModelRun(
                source_sop_uid="1.2.3",
                model="resnet50",
                model_version="1",
                state=state,
                seconds=1.0,
                probabilities={},
            )
        )
        if sent:
            result = Result(
                kind="SR",
                sop_instance_uid="2.25.1",
                sop_class_uid="1.2",
                series_uid="2.25.2",
                path="results/x.dcm",
                size_bytes=1,
            )
            delivery = Delivery(destination="orthanc", state=sent.partition(" ")[0])
            delivery.failures = int("broke off" in sent)
            result.deliveries = [delivery]
            job.results.append(result)


@pytest.mark.parametrize(
    ("run", "sent", "state", "revision"),
    [
        ("succeeded", "refused", DELIVERING, 1),
        ("failed", "confirmed", QUEUED, 2),
        ("failed", None, QUEUED, 1),
        ("away", None, QUEUED, 1),
        ("failed", "pending", QUEUED, 1),
        ("failed", "pending after a try that broke off", QUEUED, 2),
    ],
)
def test_retry_resumes_where_it_failed(
    node: Node, store: Store, run: str, sent: str | None, state: str, revision: int
) -> None:
    """Retry sends again what was only not delivered, and never changes an object that left."""
    image = mammogram()
    uid = image.StudyInstanceUID
    node.receive(image)
    (bell,) = node.sweep(31)
    add_run(store, bell.job_id, run, sent=sent)
    finish(node, bell.job_id, FAILED)
    retry(store, uid)
    assert node.state(uid) == (state, revision)


def test_retry_of_what_did_not_fail_is_refused(node: Node, store: Store) -> None:
    """Retry says clearly why it does nothing."""
    with pytest.raises(NotFoundError):
        retry(store, "1.2.3")
    image = mammogram()
    node.receive(image)
    node.sweep(31)
    with pytest.raises(IllegalMoveError, match="queued"):
        retry(store, image.StudyInstanceUID)


def test_patient_data_stands_in_the_keys_of_queries_only(node: Node) -> None:
    """Name and id of a patient are columns of the study, and appear in no other row."""
    image = mammogram()
    image.PatientName = "UNIQUE^NAME"
    image.PatientID = "UNIQUE-ID"
    node.receive(image)
    node.sweep(31)
    with node.store.reading() as session:
        study = session.get_one(Study, image.StudyInstanceUID)
        assert (study.PatientName, study.PatientID) == ("UNIQUE^NAME", "UNIQUE-ID")
        rows = [*study.instances, *study.series, *study.jobs, *session.scalars(select(Event))]
        assert "UNIQUE" not in repr([vars(row) for row in rows])


def raw(image: FileDataset) -> FileDataset:
    """The For Processing image of the same exposure."""
    twin = mammogram(image.StudyInstanceUID, image.ImageLaterality, image.ViewPosition, seed=7)
    twin.PresentationIntentType = "FOR PROCESSING"
    twin.SOPClassUID = twin.file_meta.MediaStorageSOPClassUID = (
        DigitalMammographyXRayImageStorageForProcessing
    )
    return twin


def test_a_raw_image_does_not_end_the_wait_for_its_twin(node: Node) -> None:
    """The last view For Presentation takes the device many seconds longer than the raw one."""
    uid = "1.2.3"
    images = [mammogram(uid, side, view) for side in "LR" for view in ("CC", "MLO")]
    node.settle([*images[:-1], *map(raw, images)])
    assert node.sweep(29) == []
    node.receive(images[-1])
    assert len(node.sweep(6)) == 1
    assert node.state(uid) == (QUEUED, 1)


def test_raw_images_alone_are_expected_views_too(node: Node) -> None:
    """Some devices send no others."""
    images = [mammogram("1.2.3", side, view) for side in "LR" for view in ("CC", "MLO")]
    node.settle(map(raw, images))
    assert len(node.sweep(6)) == 1


def test_a_late_image_that_nothing_looks_at_makes_no_new_results(node: Node) -> None:
    """The raw twin of an image that was analysed: the results would be the same under new UIDs."""
    image = mammogram()
    uid = image.StudyInstanceUID
    node.receive(image)
    (bell,) = node.sweep(31)
    finish(node, bell.job_id)
    node.receive(raw(image))
    assert node.state(uid) == (RECEIVING, 1)
    assert node.sweep(62) == []
    assert node.state(uid) == (DONE, 1)
    with node.store.reading() as session:
        last = study_status(session, uid)["events"][-1]
    assert (last["stage"], last["revision"]) == ("late object", 1)
    assert "for presentation" in last["text"]
    node.receive(mammogram(uid, "R"))
    (bell,) = node.sweep(93)
    assert node.state(uid) == (QUEUED, 2)


def test_a_late_image_gives_a_failed_study_another_chance(node: Node) -> None:
    """Also one that nothing looks at."""
    image = mammogram()
    node.receive(image)
    (bell,) = node.sweep(31)
    finish(node, bell.job_id, FAILED)
    node.receive(raw(image))
    assert len(node.sweep(62)) == 1
    assert node.state(image.StudyInstanceUID) == (QUEUED, 2)


def test_an_image_is_left_out_for_its_twin_and_for_no_other(node: Node, store: Store) -> None:
    """Where images do not say which view they show, one shown image stands for one raw image."""
    image = mammogram("1.2.3", view="")
    node.settle([image, raw(image)])
    node.sweep(31)
    with store.reading() as session:
        assert [row["reason"] for row in study_status(session, "1.2.3")["skipped_instances"]] == [
            "the same view is analysed as 'mammogram, for presentation'"
        ]
    alone = mammogram("1.2.4", view="")
    node.settle([alone, *(raw(alone) for _ in range(2))])
    node.sweep(31)
    with store.reading() as session:
        assert study_status(session, "1.2.4")["skipped_instances"] == []


@pytest.mark.parametrize("together", [True, False])
def test_a_study_is_whose_its_objects_say(node: Node, together: bool) -> None:
    """What the first object lacks of patient and study the next ones give, whenever they come."""
    bare, image, stranger = (mammogram("1.2.3", seed=seed) for seed in range(3))
    bare.PatientID = bare.StudyDate = ""
    bare.PatientBirthDate = "19600101"
    image.AccessionNumber = "A1"
    stranger.PatientID, stranger.StudyID = "ANOTHER", "S1"
    if together:
        node.settle([bare, image, stranger])
    else:
        for each in (bare, image, stranger):
            node.receive(each)
    with node.store.reading() as session:
        study = session.get_one(Study, "1.2.3")
    assert (study.PatientID, study.StudyDate, study.AccessionNumber) == ("TEST-1", "20260101", "A1")
    assert (study.PatientBirthDate, study.StudyID) == ("19600101", "")


def test_nothing_is_known_of_a_patient_by_another(node: Node) -> None:
    """An object without Patient ID of somebody else is not given the ID of the next one."""
    bare, image = mammogram("1.2.3"), mammogram("1.2.3", seed=1)
    bare.PatientID, bare.PatientBirthDate = "", "19600101"
    image.PatientBirthDate = "19700101"
    node.settle([bare, image])
    with node.store.reading() as session:
        assert session.get_one(Study, "1.2.3").PatientID == ""
