"""A clock that was hours ahead and is set right: nothing waits until it shows these hours again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from node.clock import bring_back
from node.job import DELIVERING, RUNNING, claim, failing_seconds, hold, postpone, utc_now
from node.settings import Settings
from node.store.session import Store
from node.store.tables import (
    Commitment,
    Delivery,
    DestinationState,
    Job,
    PriorRequest,
    Result,
    Study,
)
from tests.datasets import mammogram
from tests.receiving import Receiving

AHEAD = timedelta(hours=3)


@pytest.fixture
def node(settings: Settings, store: Store) -> Receiving:
    """A node without processes."""
    return Receiving(settings, store)


def test_a_study_that_was_received_meanwhile(node: Receiving, store: Store) -> None:
    """It is complete after its quiet time, not after the hours."""
    node.receive(mammogram())
    with store.writing() as session:
        study = session.scalars(select(Study)).one()
        assert study.deadline_at is not None
        assert study.hard_deadline_at is not None
        study.deadline_at += AHEAD
        study.hard_deadline_at += AHEAD
    assert node.sweep(node.settings.study_quiet_seconds + 1) == []
    bring_back(store, node.settings)
    assert len(node.sweep(node.settings.study_quiet_seconds + 1)) == 1


def test_a_worker_that_died_meanwhile(node: Receiving, store: Store) -> None:
    """Its lease ends, and its job is rung again."""
    node.receive(mammogram())
    (bell,) = node.sweep(31)
    assert claim(store, bell.job_id, "w1", RUNNING, node.settings) is not None
    with store.writing() as session:
        job = session.get_one(Job, bell.job_id)
        assert job.lease_until is not None
        job.lease_until += AHEAD
        job.rung_at = utc_now() + AHEAD
    bring_back(store, node.settings)
    with store.reading() as session:
        job = session.get_one(Job, bell.job_id)
        assert job.lease_until is not None
        assert job.lease_until - utc_now() <= timedelta(seconds=node.settings.lease_seconds)
        assert job.rung_at is None


def test_what_was_postponed_meanwhile(node: Receiving, store: Store) -> None:
    """A job, a delivery and a destination are tried again at once."""
    node.receive(mammogram())
    (bell,) = node.sweep(31)
    lease = claim(store, bell.job_id, "w1", RUNNING, node.settings)
    assert lease is not None
    later = utc_now() + AHEAD
    with store.writing() as session:
        job = hold(session, lease)
        postpone(session, job, "Triton does not answer", node.settings)
        job.due_at = job.failing_since = later
        session.add(DestinationState(name="archive", failures=1, due_at=later))
        job.results.append(_result(Delivery(destination="archive", state="pending", due_at=later)))
    bring_back(store, node.settings)
    with store.reading() as session:
        assert node.unrung(session) == [bell.job_id]
        assert failing_seconds(session.get_one(Job, bell.job_id)) >= 0.0
        assert session.get_one(DestinationState, "archive").due_at <= utc_now()
        assert session.scalars(select(Delivery.due_at)).one() <= utc_now()  # type: ignore[operator]  # it has one


def test_what_modalities_and_archives_were_asked_meanwhile(node: Receiving, store: Store) -> None:
    """A report is due at once; a question for priors when its try would have been given up."""
    image = mammogram()
    node.receive(image)
    later = utc_now() + AHEAD
    request = {
        "transaction_uid": "1.2",
        "calling_ae_title": "MODALITY",
        "peer_host": "10.0.0.1",
        "requested_at": later,
        "items": [],
        "items_sha256": "",
        "state": "waiting",
    }
    asked = {"study_uid": image.StudyInstanceUID, "rule": "mammograms", "state": "waiting"}
    with store.writing() as session:
        session.add(Commitment(**request, due_at=later, lease_until=later))
        session.add(PriorRequest(**asked, due_at=later))
    bring_back(store, node.settings)
    lease_end = utc_now() + timedelta(seconds=node.settings.lease_seconds)
    with store.reading() as session:
        report = session.scalars(select(Commitment)).one()
        assert report.due_at <= utc_now()
        assert report.lease_until is not None
        assert report.lease_until <= lease_end
        assert session.scalars(select(PriorRequest.due_at)).one() <= lease_end


def test_what_may_wait_is_left_alone(node: Receiving, store: Store) -> None:
    """Nothing that the settings allow is shortened, nor what waits for a commitment report."""
    node.receive(mammogram())
    with store.reading() as session:
        before = session.scalars(select(Study.deadline_at)).one()
    bring_back(store, node.settings)
    with store.reading() as session:
        assert session.scalars(select(Study.deadline_at)).one() == before
    (bell,) = node.sweep(31)
    later = utc_now() + AHEAD
    with store.writing() as session:
        job = session.get_one(Job, bell.job_id)
        job.state, job.due_at = DELIVERING, later
        job.results.append(_result(Delivery(destination="archive", state="asked", due_at=later)))
    bring_back(store, node.settings)
    with store.reading() as session:
        assert session.get_one(Job, bell.job_id).due_at == later
        assert session.scalars(select(Delivery.due_at)).one() == later


def _result(delivery: Delivery) -> Result:
    uids = {"sop_instance_uid": "1.2", "sop_class_uid": "1.2", "series_uid": "1.2"}
    result = Result(kind="SR", path="results/x", size_bytes=1, **uids)
    result.deliveries = [delivery]
    return result
