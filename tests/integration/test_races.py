"""What two processes write at the same moment, on PostgreSQL, which lets both begin."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from node.errors import IllegalMoveError, LeaseLostError
from node.identifiers import JobId
from node.job import (
    ANALYSE_TASK,
    DELIVERING,
    DONE,
    FAILED,
    QUEUED,
    RECEIVING,
    Lease,
    claim,
    hold,
    move,
    postpone,
    renew,
    utc_now,
    wait_until,
)
from node.retention.removal import Rule, Weight, remove_study
from node.retry import retry
from node.status import study_status
from node.store.tables import Delivery, DestinationState, Job, ModelRun, Result, Study
from tests.analysed import Analysed
from tests.datasets import mammogram
from workers.dispatch import availability

# In which another process has surely come as far as it can.
_MOMENT_SECONDS = 1.0


@pytest.fixture
def node(postgresql_node: Analysed) -> Analysed:
    """The node of every test here."""
    return postgresql_node


def begun(work: Callable[[], object]) -> threading.Thread:
    """`work` beside the caller, done by now, or waiting for what the caller has locked."""
    other = threading.Thread(target=work)
    other.start()
    other.join(_MOMENT_SECONDS)
    return other


def delivering(node: Analysed, job_id: int) -> Lease:
    """The lease of a job on which nothing is left but to be done."""
    lease = node.claimed(job_id)
    with node.store.writing() as session:
        move(session, hold(session, lease), DELIVERING, "test")
    delivery = claim(node.store, JobId(job_id), "w1", DELIVERING, node.settings)
    assert delivery is not None
    return delivery


def shown(node: Analysed, study_uid: str) -> str:
    """The state that people see."""
    with node.store.reading() as session:
        return str(study_status(session, study_uid)["state"])


def test_a_late_image_at_the_end_of_the_job_is_shown(node: Analysed) -> None:
    """The study was shown as done, and its deadline ran."""
    image = mammogram()
    study_uid = str(image.StudyInstanceUID)
    lease = delivering(node, node.received(image))
    with node.store.writing() as session:
        move(session, hold(session, lease), DONE, "test")
        late = begun(lambda: node.receive(mammogram(study_uid, "R")))
    late.join()
    assert shown(node, study_uid) == RECEIVING


def test_a_revision_that_begins_at_the_end_of_the_last_is_shown(node: Analysed) -> None:
    """A worker that was just done wrote "done" over "queued"."""
    image = mammogram()
    study_uid = str(image.StudyInstanceUID)
    lease = delivering(node, node.received(image))
    with node.store.writing() as session:
        wait_until(session, hold(session, lease), utc_now() + timedelta(hours=1), "away")
    node.receive(mammogram(study_uid, "R"))
    with node.store.writing() as session:
        job = session.get_one(Job, lease.job_id, with_for_update=True)
        move(session, job, DONE, "test")
        sweeper = begun(lambda: node.sweep(1000))
    sweeper.join()
    node.sweep(1000)
    assert shown(node, study_uid) == QUEUED


def test_two_leases_of_one_name_are_two(node: Analysed) -> None:
    """Workers in two containers on one host's network may have one host name and one number."""
    job_id = node.received(mammogram())
    first = node.claimed(job_id, "worker@host:8")
    with node.store.writing() as session:
        session.get_one(Job, job_id).lease_until = utc_now()
    second = node.claimed(job_id, "worker@host:8")
    with pytest.raises(LeaseLostError):
        renew(node.store, first, node.settings)
    with pytest.raises(LeaseLostError), node.store.writing() as session:
        hold(session, first)
    renew(node.store, second, node.settings)


def test_an_archive_that_is_reached_just_as_another_call_fails(node: Analysed) -> None:
    """The study whose call had failed was failed for good: "unexpected NoResultFound"."""
    store = node.store
    availability.fails(store, "pacs", "pacs: does not answer", node.settings)
    others: list[threading.Thread] = []

    def reach(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO destination_state") and not others:
            others.append(begun(lambda: availability.works(store, "pacs")))

    event.listen(store.engine, "after_cursor_execute", reach)
    availability.fails(store, "pacs", "pacs: does not answer", node.settings)
    event.remove(store.engine, "after_cursor_execute", reach)
    others[0].join()
    with store.reading() as session:
        assert session.get(DestinationState, "pacs") is None


def test_why_a_study_waits_is_shown_at_once(node: Analysed) -> None:
    """It was shown when the next try began."""
    image = mammogram()
    lease = node.claimed(node.received(image))
    with node.store.writing() as session:
        postpone(session, hold(session, lease), "Triton does not answer", node.settings)
    with node.store.reading() as session:
        found = study_status(session, str(image.StudyInstanceUID))
    assert found["error"] == "Triton does not answer"


def test_two_who_press_retry_make_one_revision(node: Analysed) -> None:
    """The second waited for the first, and then made one more of what was at work already."""
    job_id = node.received(mammogram())
    with node.store.writing() as session:
        job = session.get_one(Job, job_id)
        job.state = FAILED
        run = ModelRun(source_sop_uid="1.2", model="resnet50", model_version="1", seconds=0.0)
        run.state, run.probabilities = FAILED, {}
        job.model_runs = [run]
        result = Result(kind="SEG", sop_instance_uid="1.3", sop_class_uid="1.4", series_uid="1.5")
        result.path, result.size_bytes = "none", 1
        result.deliveries = [Delivery(destination="pacs", state="confirmed")]
        job.results = [result]
        study_uid = job.study_uid
    answers: list[object] = []

    def press() -> None:
        try:
            answers.append(retry(node.store, study_uid).task)
        except IllegalMoveError as error:
            answers.append(str(error))

    with node.store.writing() as session:
        session.get_one(Job, job_id, with_for_update=True)
        people = [begun(press), begun(press)]
    for person in people:
        person.join()
    refusal = "only a failed study can be retried; this one is queued"
    assert sorted(map(str, answers)) == [refusal, ANALYSE_TASK]
    with node.store.reading() as session:
        assert session.get_one(Study, study_uid).revision == 2


def test_removal_waits_for_no_job(node: Analysed) -> None:
    """With the patient locked it would, for a worker that has the job and wants the patient."""
    lease = delivering(node, node.received(mammogram()))
    with node.store.writing() as session:
        job = hold(session, lease)
        move(session, job, DONE, "test")
        study_uid = job.study_uid
    gone: list[object] = []

    def remove() -> None:
        later = utc_now() + timedelta(days=2)
        gone.append(remove_study(node.store, node.files, study_uid, Rule(1), later))

    with node.store.writing() as session:
        session.get_one(Job, lease.job_id, with_for_update=True)
        assert not begun(remove).is_alive()
    assert gone == [None]
    remove()
    assert isinstance(gone[-1], Weight)
