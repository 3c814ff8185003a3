"""Revisions and combined reports as an archive sees them: a real Orthanc, the real pipeline."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
import yaml
from pydicom.dataset import Dataset, FileDataset
from sqlalchemy import select, update

import workers.dicom.orthanc
import workers.replacement
from node.job import last_job, utc_now
from node.listing import find_studies
from node.retention.expiry import Expiry
from node.retention.removal import Rule
from node.retry import retry
from node.settings import Settings, load_settings
from node.status import no_findings, study_status
from node.store.migrate import upgrade
from node.store.session import open_store
from node.store.tables import Delivery, DestinationState, Event, Job, Result, Study
from tests.analysed import Analysed, Said, scan
from tests.datasets import mammogram, rejection_note
from tests.peers.dicomweb import StrictWeb, running_web
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port
from tests.results import referenced
from workers.check import _destinations
from workers.pipeline import open_pipeline

_CONTEXT = multiprocessing.get_context("forkserver")
# Where the worker is killed; `make test-slow` tries every place.
_KILLED = ["before its record"]
if "SENTINODE_FAULT_SECONDS" in os.environ:
    _KILLED += ["before the first", "after the first"]


class Archive(Analysed):
    """A node with one Orthanc as its destination."""

    def __init__(self, settings: Settings, orthanc: Orthanc) -> None:
        super().__init__(settings, open_store(settings))
        self.orthanc = orthanc
        self.write_destinations({})

    def write_destinations(self, *changes: dict[str, Any]) -> None:
        """Write the destinations file; each of `changes` is one destination."""
        usual = {
            "name": "orthanc",
            "protocol": "stow",
            "url": self.orthanc.dicomweb_url,
            "confirm": "qido",
            "kinds": ["SR", "COMBINED"],
            "orthanc_url": self.orthanc.url,
        }
        entries = [usual | each for each in changes]
        assert self.settings.destinations is not None
        self.settings.destinations.write_text(yaml.safe_dump({"destinations": entries}))

    def finished(self, *datasets: FileDataset, said: Said | None = None) -> str:
        """Take a study from its objects to the end of its delivery; its UID."""
        lease = self.analysed(*datasets, said=said)
        self.release(lease)
        self.analyse(lease.job_id)
        self.deliver(lease.job_id)
        return lease.study_uid

    def withdrawn(self, note: FileDataset) -> Job:
        """Take a note by which no image is left to its end; the job that it makes."""
        job_id = self.received(note)
        self.analyse(job_id)
        self.deliver(job_id)
        with self.store.reading() as session:
            return session.get_one(Job, job_id)

    def analyse(self, job_id: int) -> None:
        """What a worker of the analysis queue does."""
        pipeline = open_pipeline(self.settings)
        pipeline.analyse(job_id)  # type: ignore[arg-type]
        pipeline.store.close()

    def deliver(self, job_id: int) -> None:
        """What a worker of the delivery queue does, with every pause over."""
        with self.store.writing() as session:
            past = utc_now() - timedelta(seconds=1)
            session.execute(update(Job).where(Job.id == job_id).values(due_at=past))
            session.execute(update(DestinationState).values(due_at=past))
            held = session.get_one(Job, job_id)
            if held.lease_owner is not None:
                held.lease_until = past
        pipeline = open_pipeline(self.settings)
        pipeline.deliver(job_id)  # type: ignore[arg-type]
        pipeline.store.close()

    def state(self, study_uid: str) -> tuple[str, str | None]:
        """State of a study, and what its last job complains of."""
        with self.store.reading() as session:
            job = last_job(session, study_uid)
            return session.get_one(Study, study_uid).state, job.error if job else None

    def uids(self, study_uid: str, revision: int, *kinds: str) -> set[str]:
        """SOP Instance UIDs of the results of one revision."""
        with self.store.reading() as session:
            rows = session.execute(
                select(Result.sop_instance_uid, Result.kind)
                .join(Job)
                .where(Job.study_uid == study_uid, Job.revision == revision)
            )
            return {uid for uid, kind in rows if not kinds or kind in kinds}

    def deliveries(self, study_uid: str, revision: int) -> set[str]:
        """The states of one revision's deliveries."""
        with self.store.reading() as session:
            return set(
                session.scalars(
                    select(Delivery.state)
                    .join(Result)
                    .join(Job)
                    .where(Job.study_uid == study_uid, Job.revision == revision)
                )
            )

    def events(self, study_uid: str) -> list[str]:
        """What the timeline says of replacement."""
        with self.store.reading() as session:
            return list(
                session.scalars(
                    select(Event.text).where(
                        Event.study_uid == study_uid, Event.stage == "replacement"
                    )
                )
            )

    def stored(self, study_uid: str) -> set[str]:
        """What Orthanc has of a study."""
        return set(self.orthanc.sop_instance_uids_of(study_uid))

    def read(self, sop_instance_uid: str) -> Dataset:
        """An object as Orthanc has it."""
        return pydicom.dcmread(BytesIO(self.orthanc.file(sop_instance_uid)))


@pytest.fixture
def node(tmp_path: Path, orthanc: Orthanc, redis_url: str) -> Iterator[Archive]:
    settings = load_settings(
        state_dir=tmp_path / "state",
        destinations=tmp_path / "destinations.yaml",
        broker_url=redis_url,
        min_free_bytes=0,
    )
    upgrade(settings)
    node = Archive(settings, orthanc)
    yield node
    node.store.close()
    orthanc.clear()


@pytest.mark.parametrize("mammogram_first", [True, False])
def test_the_later_study_brings_the_combined_report(node: Archive, mammogram_first: bool) -> None:
    """Mammogram then ultrasound, and the reverse; then a late image of the first study."""
    images = [mammogram(), scan()] if mammogram_first else [scan(), mammogram()]
    first = node.finished(images[0], said=Said(findings=1))
    second = node.finished(images[1])
    assert node.uids(first, 1, "COMBINED") == set()
    (uid,) = node.uids(second, 1, "COMBINED")
    report = node.read(uid)
    assert report.StudyInstanceUID == second
    assert referenced(report, "PertinentOtherEvidenceSequence") == {
        first: {str(images[0].SOPInstanceUID)}
    }
    late = mammogram(first, view="MLO") if mammogram_first else scan(first, "R")
    node.finished(late)
    (again,) = node.uids(first, 2, "COMBINED")
    revised = node.read(again)
    assert revised.StudyInstanceUID == first
    assert referenced(revised, "PredecessorDocumentsSequence") == {second: {uid}}
    assert uid in node.stored(second), "nothing is deleted unless a destination says so"


def test_a_late_image_replaces_what_orthanc_has(node: Archive) -> None:
    """Revision 1 goes once revision 2 is confirmed; what others stored in that study stays."""
    node.write_destinations({"replace": "orthanc-delete", "kinds": ["SEG", "SR"]})
    image = mammogram()
    study = node.finished(image, said=Said(findings=2))
    _store(node.orthanc, image)
    others = _store(node.orthanc, _of_another(node, study))
    old = node.uids(study, 1)
    assert old <= node.stored(study)
    node.finished(mammogram(study, view="MLO"), said=Said(findings=1))
    new = node.uids(study, 2)
    assert node.state(study) == ("done", None)
    assert node.stored(study) == {str(image.SOPInstanceUID), others, *new}
    assert node.deliveries(study, 1) == {"replaced"}
    assert node.deliveries(study, 2) == {"confirmed"}
    assert node.events(study) == [f"{len(old)} superseded objects deleted at orthanc"]
    (report,) = node.uids(study, 2, "SR")
    (predecessor,) = node.uids(study, 1, "SR")
    assert referenced(node.read(report), "PredecessorDocumentsSequence") == {study: {predecessor}}


@pytest.mark.parametrize("replace", ["orthanc-delete", "rejection-note"])
def test_nothing_is_replaced_while_an_earlier_revision_is_on_its_way(
    node: Archive, replace: str
) -> None:
    """What it still brings would come after the deletion, and stay beside the new results."""
    node.write_destinations({"replace": replace, "kinds": ["SEG", "SR"]})
    lease = node.analysed(mammogram(), said=Said(findings=1))
    node.release(lease)
    node.analyse(lease.job_id)
    study = lease.study_uid
    with node.store.writing() as session:
        job = session.get_one(Job, lease.job_id)
        job.due_at = utc_now() + timedelta(hours=1)
    later = node.analysed(mammogram(study, view="MLO"), said=Said(findings=1))
    node.release(later)
    node.analyse(later.job_id)
    node.deliver(later.job_id)
    assert node.state(study) == ("delivering", "an earlier revision is still being delivered")
    old, new = node.uids(study, 1), node.uids(study, 2)
    assert node.stored(study) == new
    node.deliver(lease.job_id)
    assert node.stored(study) == old | new
    node.deliver(later.job_id)
    assert node.state(study) == ("done", None)
    assert node.deliveries(study, 1) == {"replaced"}
    notes = node.uids(study, 2, "REJECTED")
    assert node.stored(study) == (new if replace == "orthanc-delete" else old | new | notes)


def test_an_object_of_someone_else_under_our_uid_stays(node: Archive) -> None:
    """Same SOP Instance UID, another series and manufacturer: it is left alone."""
    node.write_destinations({"replace": "orthanc-delete"})
    study = node.finished(mammogram())
    (ours,) = node.uids(study, 1, "SR")
    foreign = mammogram()
    foreign.SOPInstanceUID = foreign.file_meta.MediaStorageSOPInstanceUID = ours
    _store(node.orthanc, foreign)
    node.finished(mammogram(study, view="MLO"))
    assert node.state(study) == ("done", None)
    assert ours not in node.stored(study)
    assert node.stored(str(foreign.StudyInstanceUID)) == {ours}


def test_a_combined_report_of_another_study_is_replaced_too(node: Archive) -> None:
    """The report lay in the ultrasound's study; the mammogram's revision takes its place."""
    node.write_destinations({"replace": "orthanc-delete"})
    first = node.finished(mammogram())
    second = node.finished(scan())
    (stale,) = node.uids(second, 1, "COMBINED")
    report_of_scan = node.uids(second, 1, "SR")
    node.finished(mammogram(first, view="MLO"))
    assert node.uids(first, 2, "COMBINED") <= node.stored(first)
    assert stale not in node.stored(second)
    assert node.stored(second) == report_of_scan


def test_a_rejection_note_names_what_is_superseded(node: Archive) -> None:
    """One note for each new revision; it names results, never an earlier note."""
    node.write_destinations({"replace": "rejection-note", "kinds": ["SEG", "SR"]})
    study = node.finished(mammogram(), said=Said(findings=1))
    assert node.uids(study, 1, "REJECTED") == set()
    for revision, view in ((2, "MLO"), (3, "ML")):
        node.finished(mammogram(study, view=view), said=Said(findings=1))
        assert node.state(study) == ("done", None)
        (uid,) = node.uids(study, revision, "REJECTED")
        note = node.read(uid)
        assert note.ConceptNameCodeSequence[0].CodeValue == "113001"
        named = node.uids(study, revision - 1, "SEG", "SR")
        assert referenced(note, "CurrentRequestedProcedureEvidenceSequence") == {study: named}
        assert named <= node.stored(study), "the archive decides what it hides"
        assert node.events(study)[-1] == f"{len(named)} superseded objects rejected at orthanc"
    assert "replaced" in node.deliveries(study, 2)


@pytest.mark.parametrize("replace", ["rejection-note", "orthanc-delete", "none"])
def test_results_of_rejected_images_are_taken_back(node: Archive, replace: str) -> None:
    """Every image was another woman's: where the destination allows it nothing of them stays."""
    node.write_destinations({"replace": replace, "kinds": ["SEG", "SR"]})
    images = [mammogram()]
    images.append(mammogram(images[0].StudyInstanceUID, view="MLO"))
    study = node.finished(*images, said=Said(findings=1))
    old = node.uids(study, 1)
    reported = node.withdrawn(rejection_note(*images, title="113038"))
    assert reported.revision == 2
    state, error = node.state(study)
    assert state == "done"
    every = "every image is rejected, made with an incorrect worklist entry"
    if replace == "none":
        remain = "earlier results remain at orthanc: hide them there, or set `replace`"
        assert error == f"{every}; {remain}"
        assert node.stored(study) == old
        return
    assert error == f"{every}; earlier results are taken back"
    assert node.deliveries(study, 1) == {"replaced"}
    if replace == "orthanc-delete":
        assert node.stored(study) == set()
        return
    (uid,) = node.uids(study, 2)
    note = node.read(uid)
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert note.PatientName == images[0].PatientName
    assert referenced(note, "CurrentRequestedProcedureEvidenceSequence") == {study: old}
    types = {item.ValueType for item in note.ContentSequence if "ReferencedSOPSequence" in item}
    assert types == {"IMAGE", "COMPOSITE"}, "a report is no image"


@pytest.mark.parametrize("replace", ["rejection-note", "orthanc-delete"])
def test_results_are_taken_back_where_models_decline_what_is_left(
    node: Archive, replace: str
) -> None:
    """The mammogram is rejected, and the other image of the study is none for its model."""
    node.write_destinations({"replace": replace, "kinds": ["SEG", "SR"]})
    image, said = mammogram(), Said(findings=1, declining=("mask_rcnn_us",))
    study = node.finished(image, scan(str(image.StudyInstanceUID)), said=said)
    old = node.uids(study, 1)
    node.finished(rejection_note(image), said=said)
    state, error = node.state(study)
    assert state == "done"
    assert error == (
        "images are rejected for quality reasons; mask_rcnn_us: no image for it; "
        "earlier results are taken back"
    )
    assert node.deliveries(study, 1) == {"replaced"}
    notes = node.uids(study, 2)
    assert node.stored(study) == (old | notes if replace == "rejection-note" else set())
    with node.store.reading() as session:
        found = study_status(session, study)
        (line,) = find_studies(session, study)
    assert (found["findings"], line.findings) == ([], 0)
    assert no_findings(found) == "not analysed"


def test_what_waits_for_an_archive_is_not_sent_once_it_is_withdrawn(node: Archive) -> None:
    """The archive was away all the while: nothing about another woman's images goes there."""
    node.write_destinations({"kinds": ["SEG", "SR"]})
    image = mammogram()
    lease = node.analysed(image, said=Said(findings=1))
    node.release(lease)
    node.analyse(lease.job_id)
    with node.store.writing() as session:
        session.get_one(Job, lease.job_id).due_at = utc_now() + timedelta(hours=1)
    study = lease.study_uid
    node.withdrawn(rejection_note(image, title="113038"))
    node.deliver(lease.job_id)
    assert node.stored(study) == set()
    every = "every image is rejected, made with an incorrect worklist entry"
    assert node.state(study) == ("done", f"{every}; earlier results are taken back")
    assert {node.job(study, revision).state for revision in (1, 2)} == {"done"}


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_withdrawal_that_waits_comes_to_its_end(node: Archive, is_lost: bool) -> None:
    """Its note is lost with the files of results, or the rejection is taken back meanwhile."""
    usual = {"replace": "rejection-note", "kinds": ["SEG", "SR"]}
    node.write_destinations(usual)
    image = mammogram()
    study = node.finished(image, said=Said(findings=1))
    old, first = node.uids(study, 1), rejection_note(image)
    node.write_destinations(usual | {"url": f"http://127.0.0.1:{free_port()}/dicom-web"})
    job_id = node.received(first)
    node.analyse(job_id)
    if is_lost:
        node.deliver(job_id)
        (uid,) = node.uids(study, 2, "REJECTED")
        shutil.rmtree(node.settings.state_dir / "results")
    else:
        with node.store.writing() as session:
            session.get_one(Job, job_id).due_at = utc_now() + timedelta(hours=1)
        node.received(rejection_note(first))
    node.write_destinations(usual)
    node.deliver(job_id)
    assert node.job(study, 2).state == "done"
    (uid,) = node.uids(study, 2, "REJECTED")
    assert node.stored(study) == old | {uid}
    assert node.deliveries(study, 1) == {"replaced"}


def test_what_is_rejected_goes_though_another_archive_is_away(node: Archive) -> None:
    """Nobody waits with another woman's results until the last archive answers."""
    here = {"replace": "orthanc-delete", "kinds": ["SEG", "SR"]}
    there = here | {"name": "other", "replace": "rejection-note"}
    node.write_destinations(here, there)
    image = mammogram()
    study = node.finished(image, said=Said(findings=1))
    node.write_destinations(here, there | {"url": f"http://127.0.0.1:{free_port()}"})
    node.withdrawn(rejection_note(image, title="113038"))
    assert node.state(study)[0] == "delivering"
    assert node.stored(study) == set()


def test_what_is_left_after_a_rejection_is_reported_anew(node: Archive) -> None:
    """One of two images is rejected: the new report says so, and the old results go."""
    node.write_destinations({"replace": "orthanc-delete", "kinds": ["SEG", "SR"]})
    images = [mammogram()]
    images.append(mammogram(images[0].StudyInstanceUID, view="MLO"))
    study = node.finished(*images, said=Said(findings=1))
    node.finished(rejection_note(images[0]), said=Said(findings=1))
    assert node.state(study) == ("done", None)
    new = node.uids(study, 2)
    assert node.stored(study) == new
    (uid,) = node.uids(study, 2, "SR")
    report = node.read(uid)
    named = referenced(report, "CurrentRequestedProcedureEvidenceSequence")[study]
    assert str(images[0].SOPInstanceUID) not in named
    assert str(images[1].SOPInstanceUID) in named
    texts = [element.value for element in report.iterall() if element.keyword == "TextValue"]
    left_out = "Not analysed, 1 image(s): rejected for quality reasons."
    assert any(left_out in text for text in texts)


def test_a_combined_report_does_not_count_a_rejected_study(node: Archive) -> None:
    """The ultrasound's combined report took in the mammogram of somebody else."""
    node.write_destinations({"replace": "orthanc-delete"})
    image = mammogram()
    first = node.finished(image)
    second = node.finished(scan())
    (stale,) = node.uids(second, 1, "COMBINED")
    node.withdrawn(rejection_note(image, title="113038"))
    job = node.job(second, 2)
    lease = node.claimed(job.id)
    node.infer(lease)
    node.release(lease)
    node.analyse(job.id)
    node.deliver(job.id)
    assert node.state(second) == ("done", None)
    assert stale not in node.stored(second)
    assert node.uids(second, 2) == node.uids(second, 2, "SR") == node.stored(second)
    assert node.stored(first) == set()


@pytest.mark.parametrize("replace", ["rejection-note", "orthanc-delete"])
def test_a_study_that_comes_again_after_its_removal(node: Archive, replace: str) -> None:
    """Its old results are gone here and not there: the new ones take their place in the archive."""
    node.write_destinations({"replace": replace, "kinds": ["SEG", "SR"]})
    image = mammogram()
    study = node.finished(image, said=Said(findings=1))
    old = node.uids(study, 1)
    expiry = Expiry(node.store, node.files, Rule(1))
    while expiry.turn(utc_now() + timedelta(days=2)):
        pass
    assert node.state(study)[0] == "removed"
    assert node.stored(study) == old
    node.finished(image, said=Said(findings=1))
    assert node.state(study) == ("done", None)
    new = node.uids(study, 2, "SEG", "SR")
    assert new.isdisjoint(old)
    assert node.deliveries(study, 1) == {"replaced"}
    if replace == "orthanc-delete":
        assert node.stored(study) == new
    else:
        (uid,) = node.uids(study, 2, "REJECTED")
        note = node.read(uid)
        assert referenced(note, "CurrentRequestedProcedureEvidenceSequence") == {study: old}
        assert note.PatientName == image.PatientName
    (report,) = node.uids(study, 2, "SR")
    assert "PredecessorDocumentsSequence" in node.read(report)


@pytest.mark.parametrize("replace", ["rejection-note", "orthanc-delete"])
def test_a_revision_with_a_failed_model_replaces_nothing(node: Archive, replace: str) -> None:
    """What the last whole revision said stays until another one is whole."""
    node.write_destinations({"replace": replace})
    study = node.finished(mammogram(), said=Said(findings=1))
    old = node.uids(study, 1)
    failed = Said(errors={"mtu_net": "Triton did not answer"})
    node.finished(mammogram(study, view="MLO"), said=failed)
    assert node.state(study)[0] == "done"
    assert old <= node.stored(study)
    assert node.uids(study, 2, "REJECTED") == set()
    node.finished(mammogram(study, view="ML"))
    assert node.state(study) == ("done", None)
    if replace == "orthanc-delete":
        assert node.stored(study) == node.uids(study, 3)


def test_where_nothing_new_arrived_nothing_goes(node: Archive) -> None:
    """A destination of segmentations, and a new revision without findings: nothing is confirmed."""
    node.write_destinations({"replace": "orthanc-delete", "kinds": ["SEG"]})
    study = node.finished(mammogram(), said=Said(findings=1))
    node.finished(mammogram(study, view="MLO"))
    assert node.state(study) == ("done", None)
    assert node.uids(study, 2) == set()
    assert node.stored(study) == node.uids(study, 1) != set()


def test_a_revision_that_another_destination_refused_replaces_nothing(node: Archive) -> None:
    """A study that failed keeps everything, also where all was confirmed."""
    study_image = mammogram()
    node.write_destinations({"replace": "orthanc-delete"})
    study = node.finished(study_image, said=Said(findings=1))
    old = node.uids(study, 1)
    # Orthanc's REST API knows no /nowhere/studies: 404, final.
    nowhere = {"name": "nowhere", "url": f"{node.orthanc.url}/nowhere"}
    node.write_destinations({"replace": "orthanc-delete"}, nowhere)
    node.finished(mammogram(study, view="MLO"), said=Said(findings=1))
    assert node.state(study)[0] == "failed"
    assert old | node.uids(study, 2) <= node.stored(study)


def test_orthanc_away_during_the_replacement(node: Archive) -> None:
    """New objects are confirmed, the REST API is not there: shown, tried again, then done."""
    node.write_destinations({"replace": "orthanc-delete"})
    study = node.finished(mammogram())
    away = {"replace": "orthanc-delete", "orthanc_url": f"http://127.0.0.1:{free_port()}"}
    node.write_destinations(away)
    node.finished(mammogram(study, view="MLO"))
    state, error = node.state(study)
    job = node.job(study, 2)
    assert (state, node.deliveries(study, 2)) == ("delivering", {"confirmed"})
    assert "orthanc: replacement: does not answer" in (error or "")
    assert node.uids(study, 1) <= node.stored(study)
    node.write_destinations({"replace": "orthanc-delete"})
    node.deliver(job.id)
    assert node.state(study) == ("done", None)
    assert node.stored(study) == node.uids(study, 2)


def test_the_check_finds_the_rest_api_or_says_what_is_wrong(node: Archive) -> None:
    """`sentinode check` asks it beside the DICOMweb door, with the same account."""

    def told() -> list[tuple[bool, str]]:
        name = "destination orthanc, replacement"
        return [(each.ok, each.text) for each in _destinations(node.settings) if each.name == name]

    assert told() == []
    node.write_destinations({"replace": "orthanc-delete"})
    ((answers, text),) = told()
    assert answers
    assert text.startswith("Orthanc 1.")
    node.write_destinations({"replace": "orthanc-delete", "orthanc_url": node.orthanc.dicomweb_url})
    ((answers, text),) = told()
    assert not answers
    assert "check `orthanc_url`" in text


def test_a_wrong_rest_address_is_shown_and_retried_by_a_person(node: Archive) -> None:
    """404 cannot heal by itself; the sentence says which field to look at."""
    node.write_destinations({"replace": "orthanc-delete"})
    study = node.finished(mammogram())
    node.write_destinations({"replace": "orthanc-delete", "orthanc_url": node.orthanc.dicomweb_url})
    node.finished(mammogram(study, view="MLO"))
    state, error = node.state(study)
    assert state == "failed"
    assert "check `orthanc_url`" in (error or "")
    node.write_destinations({"replace": "orthanc-delete"})
    bell = retry(node.store, study)
    node.deliver(bell.job_id)
    assert node.state(study) == ("done", None)
    assert node.stored(study) == node.uids(study, 2)


def test_what_answers_and_is_no_orthanc_is_told_as_such(node: Archive) -> None:
    """A proxy's page of a login, 200 OK: nothing is deleted, and the sentence names the field."""
    node.write_destinations({"replace": "orthanc-delete"})
    study = node.finished(mammogram())
    page = StrictWeb(raw=(200, {"Content-Type": "text/html"}, b"<html>Log in first</html>"))
    with running_web(page):
        address = f"http://127.0.0.1:{page.port}"
        node.write_destinations({"replace": "orthanc-delete", "orthanc_url": address})
        node.finished(mammogram(study, view="MLO"))
    state, error = node.state(study)
    assert (state, error) == (
        "failed",
        "orthanc: replacement: is no Orthanc; check `orthanc_url`",
    )
    assert node.uids(study, 1) <= node.stored(study)


@pytest.mark.parametrize("step", _KILLED)
def test_kill_between_confirmation_and_deletion(node: Archive, step: str) -> None:
    """kill -9 of the worker while it replaces: another one ends it, and nothing else goes."""
    node.write_destinations({"replace": "orthanc-delete", "kinds": ["SEG", "SR"]})
    study = node.finished(mammogram(), said=Said(findings=1))
    lease = node.analysed(mammogram(study, view="MLO"), said=Said(findings=1))
    node.release(lease)
    node.analyse(lease.job_id)
    values = node.settings.model_dump(exclude_unset=True)
    process = _CONTEXT.Process(target=_deliver_and_die, args=(values, lease.job_id, step))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    old, new = node.uids(study, 1), node.uids(study, 2)
    left = {"before the first": len(old)}.get(step, len(old) - 1)
    assert new <= node.stored(study)
    assert len(node.stored(study) & old) == left
    node.deliver(lease.job_id)
    assert node.state(study) == ("done", None)
    assert node.stored(study) == new
    assert node.deliveries(study, 1) == {"replaced"}


def _deliver_and_die(values: dict[str, Any], job_id: int, step: str) -> None:
    """A worker that kills itself in the middle of a replacement."""
    remove = workers.dicom.orthanc.Orthanc.remove

    def die(*_arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def remove_and_die(*arguments: Any) -> None:
        remove(*arguments)
        workers.dicom.orthanc.Orthanc.remove = die  # type: ignore[method-assign]

    if step == "before the first":
        workers.dicom.orthanc.Orthanc.remove = die  # type: ignore[method-assign]
    elif step == "after the first":
        workers.dicom.orthanc.Orthanc.remove = remove_and_die  # type: ignore[method-assign]
    else:
        workers.replacement._mark = die
    open_pipeline(load_settings(**values)).deliver(job_id)  # type: ignore[arg-type]


def _of_another(node: Archive, study_uid: str) -> FileDataset:
    """A report of another vendor in the same study."""
    foreign = mammogram(study_uid)
    foreign.Manufacturer = "Someone else"
    return foreign


def _store(orthanc: Orthanc, dataset: FileDataset) -> str:
    """Store an object as someone else would; its SOP Instance UID."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    answer = httpx.post(f"{orthanc.url}/instances", content=buffer.getvalue(), trust_env=False)
    answer.raise_for_status()
    return str(dataset.SOPInstanceUID)
