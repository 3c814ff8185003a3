"""Rejection notes from modalities and archives: what they name is not analysed any more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid
from sqlalchemy import select

from node.job import DONE, QUEUED, RECEIVING, SKIPPED, Lease, hold, utc_now, wait_until
from node.query.catalog import find
from node.query.levels import Query
from node.query.matching import matching_key
from node.rejection import NAMED, TITLE
from node.settings import Settings
from node.status import study_status
from node.store.session import Store
from node.store.tables import Instance, Job, Study
from tests.analysed import Analysed, scan
from tests.datasets import mammogram, rejection_note

QUALITY = "rejected for quality reasons"


@pytest.fixture
def node(settings: Settings, store: Store) -> Analysed:
    """A node without processes."""
    return Analysed(settings, store)


def looked_at(store: Store, study_uid: str) -> set[str]:
    """SOP Instance UIDs of the images that models look at, or will."""
    with store.reading() as session:
        rows = session.scalars(select(Instance).where(Instance.study_uid == study_uid))
        return {row.sop_instance_uid for row in rows if row.models}


def reasons(store: Store, study_uid: str) -> dict[str, str]:
    """Why objects are not analysed, by SOP Instance UID."""
    with store.reading() as session:
        skipped = study_status(session, study_uid)["skipped_instances"]
    return {entry["sop_instance_uid"]: entry["reason"] for entry in skipped}


def state(store: Store, study_uid: str) -> str:
    """What people see."""
    with store.reading() as session:
        return session.get_one(Study, study_uid).state


def done(node: Analysed, *datasets: FileDataset) -> str:
    """Have a study analysed, and say that all of it was delivered; its UID."""
    return delivered(node, node.analysed(*datasets))


def delivered(node: Analysed, lease: Lease) -> str:
    """Say that all of a study that was analysed was delivered; its UID."""
    with node.store.writing() as session:
        job = session.get_one(Job, lease.job_id)
        job.state, job.encoded_at, job.lease_owner, job.lease_until = DONE, job.due_at, None, None
        session.get_one(Study, lease.study_uid).state = DONE
    return lease.study_uid


@pytest.mark.parametrize("note_first", [True, False])
def test_a_rejected_image_is_not_analysed(node: Analysed, store: Store, note_first: bool) -> None:
    """The exposure was blurred and made again: only the second one is looked at."""
    blurred = mammogram()
    again = mammogram(blurred.StudyInstanceUID)
    note = rejection_note(blurred)
    parts = [note, blurred, again] if note_first else [blurred, again, note]
    assert [node.receive(part) for part in parts] == ["new"] * 3
    assert len(node.sweep(1000)) == 1
    assert looked_at(store, blurred.StudyInstanceUID) == {again.SOPInstanceUID}
    assert reasons(store, blurred.StudyInstanceUID)[blurred.SOPInstanceUID] == QUALITY


def test_a_study_that_is_rejected_before_its_analysis_is_skipped(
    node: Analysed, store: Store
) -> None:
    """It was made with another woman's worklist entry; nothing is sent about it."""
    images = [mammogram()]
    images.append(mammogram(images[0].StudyInstanceUID, view="MLO"))
    assert node.settle([*images, rejection_note(*images, title="113038")]) == ["new"] * 3
    assert node.sweep(1000) == []
    study_uid = images[0].StudyInstanceUID
    assert state(store, study_uid) == SKIPPED
    assert set(reasons(store, study_uid).values()) == {
        "rejected, made with an incorrect worklist entry",
        "the object holds no pixel data to analyse",
    }


def test_a_late_note_opens_the_next_revision(node: Analysed, store: Store) -> None:
    """Results of the rejected image are in the archive: what is left is reported anew."""
    images = [mammogram()]
    images.append(mammogram(images[0].StudyInstanceUID, view="MLO"))
    study_uid = done(node, *images)
    assert node.receive(rejection_note(images[0], title="113037")) == "new"
    assert state(store, study_uid) == RECEIVING
    (bell,) = node.sweep(1000)
    assert looked_at(store, study_uid) == {images[1].SOPInstanceUID}
    with store.reading() as session:
        assert session.get_one(Job, bell.job_id).revision == 2
        told = [event["text"] for event in study_status(session, study_uid)["events"]]
    assert "rejection note" in told


def test_a_note_about_a_study_in_work_waits_for_its_end(node: Analysed, store: Store) -> None:
    """Its worker is not stopped; the next revision follows."""
    images = [mammogram()]
    images.append(mammogram(images[0].StudyInstanceUID, view="MLO"))
    lease = node.analysed(*images)
    assert node.receive(rejection_note(images[0])) == "new"
    assert node.sweep(2000) == []
    delivered(node, lease)
    (bell,) = node.sweep(2000)
    assert looked_at(store, lease.study_uid) == {images[1].SOPInstanceUID}
    with store.reading() as session:
        assert session.get_one(Job, bell.job_id).revision == 2


@pytest.mark.parametrize("title", ["113039", "113000"])
def test_another_title_changes_nothing(node: Analysed, store: Store, title: str) -> None:
    """That the archive's time to keep is over, or that an image is of interest."""
    image = mammogram()
    study_uid = done(node, image)
    assert node.receive(rejection_note(image, title=title)) == "new"
    assert state(store, study_uid) == DONE
    assert node.sweep(1000) == []
    assert looked_at(store, study_uid) == {image.SOPInstanceUID}


def test_a_note_about_nothing_that_is_analysed_changes_nothing(
    node: Analysed, store: Store
) -> None:
    """An archive sends back the note by which old results of the node were rejected."""
    image, elsewhere = mammogram(), mammogram()
    study_uid = elsewhere.StudyInstanceUID = done(node, image)
    assert node.receive(rejection_note(elsewhere)) == "new"
    assert state(store, study_uid) == DONE
    assert node.sweep(1000) == []


def test_a_rejected_note_says_nothing_any_more(node: Analysed, store: Store) -> None:
    """A note that names a note takes it back, before the analysis and after it."""
    image = mammogram()
    study_uid = image.StudyInstanceUID
    note = rejection_note(image)
    assert node.settle([image, note]) == ["new"] * 2
    assert node.sweep(1000) == []
    assert looked_at(store, study_uid) == set()
    assert node.receive(rejection_note(note)) == "new"
    (bell,) = node.sweep(1000)
    assert looked_at(store, study_uid) == {image.SOPInstanceUID}
    assert image.SOPInstanceUID not in reasons(store, study_uid)
    with store.reading() as session:
        assert session.get_one(Job, bell.job_id).state == QUEUED


def test_the_raw_twin_of_a_rejected_image_is_not_analysed_in_its_place(
    node: Analysed, store: Store
) -> None:
    """Both are of one exposure, which nobody shall look at."""
    blurred = mammogram()
    raw = mammogram(blurred.StudyInstanceUID)
    raw.SOPClassUID = raw.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2.1"
    assert node.settle([blurred, raw, rejection_note(blurred)]) == ["new"] * 3
    assert node.sweep(1000) == []
    assert looked_at(store, blurred.StudyInstanceUID) == set()


def test_a_late_image_that_an_earlier_note_names_brings_nothing_new(
    node: Analysed, store: Store
) -> None:
    """Archives forward in any order; the study's results stay as they are."""
    image = mammogram()
    study_uid = done(node, image)
    blurred = mammogram(study_uid)
    assert node.receive(rejection_note(blurred)) == "new"
    assert node.receive(blurred) == "new"
    assert node.sweep(1000) == []
    assert looked_at(store, study_uid) == {image.SOPInstanceUID}
    assert state(store, study_uid) == DONE


def test_a_note_that_cannot_be_read_is_kept(node: Analysed, store: Store) -> None:
    """No reason to refuse it: it is stored as every other object, and rejects nothing."""
    image = mammogram()
    without_title, without_names, long = (rejection_note(image) for _ in range(3))
    del without_title.ConceptNameCodeSequence
    del without_names.CurrentRequestedProcedureEvidenceSequence
    long.TextValue = "x" * (1 << 20)
    parts = [image, without_title, without_names, long]
    assert node.settle(parts) == ["new"] * 4
    assert len(node.sweep(1000)) == 1
    assert looked_at(store, image.StudyInstanceUID) == {image.SOPInstanceUID}


def test_a_note_that_names_no_uids_is_kept(node: Analysed, store: Store) -> None:
    """PostgreSQL takes no NUL in what is asked for; what is a UID is heeded."""
    image, odd = mammogram(), mammogram()
    study_uid = odd.StudyInstanceUID = done(node, image)
    note = rejection_note(odd, image)
    series = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    odd_value = DataElement("ReferencedSOPInstanceUID", "OB", b"1.2\0003")
    series[0].ReferencedSOPSequence[0]["ReferencedSOPInstanceUID"] = odd_value
    assert node.receive(note) == "new"
    assert len(node.sweep(1000)) == 1
    assert looked_at(store, study_uid) == set()


@pytest.mark.parametrize("everything", [True, False])
def test_a_study_that_waits_for_a_model_heeds_a_note(
    node: Analysed, store: Store, everything: bool
) -> None:
    """One model has answered, another is away for a day: nothing rejected is reported then."""
    images = [mammogram()]
    study_uid = str(images[0].StudyInstanceUID)
    images.append(scan(study_uid))
    lease = node.claimed(node.received(*images))
    node.infer(lease)
    with store.writing() as session:
        job = hold(session, lease)
        job.model_runs = [run for run in job.model_runs if run.model == "mask_rcnn_us"]
        job.inferred_at = None
        wait_until(session, job, utc_now() + timedelta(hours=1), "a model is away")
    assert node.receive(rejection_note(*(images if everything else images[1:]))) == "new"
    assert node.sweep(1000) == []
    assert looked_at(store, study_uid) == (set() if everything else {str(images[0].SOPInstanceUID)})
    with store.reading() as session:
        (job,) = session.scalars(select(Job)).all()
        assert job.model_runs == []
        assert session.get_one(Study, study_uid).deadline_at is None
        told = [event["text"] for event in study_status(session, study_uid)["events"]]
    assert told[-1] == "a rejection note joins, 3 instances now"


def test_what_is_kept_of_a_note(node: Analysed, store: Store) -> None:
    """Its title and the objects that it names, each once."""
    image = mammogram()
    note = rejection_note(image, image)
    note.SeriesInstanceUID = generate_uid()
    node.receive(note)
    with store.reading() as session:
        attributes = session.scalars(select(Instance.attributes)).one()
    assert attributes[TITLE] == "113001"
    assert attributes[NAMED] == [image.SOPInstanceUID]


def test_rejected_images_are_found_as_before(node: Analysed, store: Store) -> None:
    """Whoever asks the node asks what it received; hiding is for archives."""
    image = mammogram()
    node.settle([image, rejection_note(image)])
    assert node.sweep(1000) == []
    keys = {
        keyword: matching_key(DataElement(keyword, "UI", image[keyword].value))
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID")
    }
    (found,) = find(Query("IMAGE", keys, ("SOPInstanceUID",)), store, node.files)
    assert found["SOPInstanceUID"] == (image.SOPInstanceUID,)
