"""What becomes of a study whose worker finds something wrong with the node, not with an image."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pydicom
import pytest
from numpy.typing import NDArray
from sqlalchemy import select

from models.contract import ModelSpec
from node.errors import ModelMismatchError, ModelRefusedError, SentinodeError
from node.identifiers import JobId
from node.job import FAILED, RUNNING, utc_now
from node.store.tables import Event, Instance, Job
from phantoms.study import StudyOptions, write_study
from tests.analysed import Analysed
from tests.peers.postgresql import Postgresql
from workers.pipeline import Pipeline, open_pipeline


@pytest.fixture
def node(postgresql_node: Analysed) -> Analysed:
    """The node of every test here."""
    return postgresql_node


class Refusing:
    """A Triton with which every image ends in `error`; `first` happens before."""

    def __init__(self, error: SentinodeError, first: threading.Thread | None = None) -> None:
        self._error, self._first = error, first

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[Mapping[str, NDArray[Any]], str]:
        if self._first is not None and not self._first.ident:
            self._first.start()
            time.sleep(1)
        raise self._error


def received(node: Analysed) -> JobId:
    """The job of a study of one image."""
    folder = node.settings.state_dir / "phantom"
    write_study(folder, 700_900, StudyOptions(views=("LCC",), rows=832, processing=False))
    return JobId(node.received(*map(pydicom.dcmread, sorted(folder.rglob("*.dcm")))))


def analysed_by(node: Analysed, server: Refusing) -> tuple[Job, list[str]]:
    """The job and its timeline after a worker with this Triton."""
    return after_analysis(node, received(node), server)


def after_analysis(node: Analysed, job_id: JobId, server: Refusing) -> tuple[Job, list[str]]:
    """The same of a job that is there."""
    pipeline: Pipeline = replace(open_pipeline(node.settings), server=server)
    pipeline.analyse(job_id)
    pipeline.store.close()
    with node.store.reading() as session:
        timeline = session.scalars(select(Event.text).order_by(Event.id)).all()
        return session.get_one(Job, job_id), list(timeline)


def test_a_database_that_restarts_is_no_worker_that_died(
    node: Analysed, postgresql: Postgresql
) -> None:
    """The job is given back as soon as the database answers, with the reason in its timeline."""

    def restart() -> None:
        with postgresql.away():
            time.sleep(3)

    away = threading.Thread(target=restart)
    began = utc_now()
    job, timeline = analysed_by(node, Refusing(ModelRefusedError("no"), away))
    away.join()
    assert job.state == RUNNING
    assert (job.lease_owner, job.crashes) == (None, 0)
    assert job.due_at - began < timedelta(seconds=node.settings.lease_seconds)
    assert "database error (OperationalError)" in timeline[-1]


def test_what_the_database_refuses_fails_with_a_reason(node: Analysed) -> None:
    """It would be refused again: a study that can never be written is not tried until it is given
    up as one whose worker died."""
    job, timeline = analysed_by(node, Refusing(ModelRefusedError("text with a NUL: \0")))
    assert job.state == FAILED
    assert timeline[-1] == "unexpected DataError; see the worker's log"


def test_another_model_in_triton_is_waited_for(node: Analysed) -> None:
    """While workers and Triton are upgraded one after the other, no image is reported as failed."""
    job, timeline = analysed_by(node, Refusing(ModelMismatchError("resnet50: upgrade the older")))
    assert job.state == RUNNING
    assert timeline[-1] == "again in 5 s: resnet50: upgrade the older"
    with node.store.reading() as session:
        assert session.get_one(Job, job.id).model_runs == []


def test_a_disk_that_is_away_says_nothing_of_an_image(node: Analysed) -> None:
    """A lost mount was told as a damaged image, in the report too, and for good."""
    job_id = received(node)
    folder = node.settings.state_dir / "instances"
    away = folder.rename(folder.with_name("away"))
    job, timeline = after_analysis(node, job_id, Refusing(ModelRefusedError("no")))
    assert job.state == RUNNING
    assert "check the disk of SENTINODE_STATE_DIR" in timeline[-1]
    # The worker has made it anew.
    folder.rmdir()
    away.rename(folder)
    with node.store.writing() as session:
        session.get_one(Job, job_id).due_at = utc_now()
    after_analysis(node, job_id, Refusing(ModelRefusedError("no")))
    with node.store.reading() as session:
        assert {run.error for run in session.get_one(Job, job_id).model_runs} == {"no"}


def test_a_model_that_an_upgrade_took_away_is_told(node: Analysed) -> None:
    """What routing chose stands in the rows; the reason says what helps."""
    job_id = received(node)
    with node.store.writing() as session:
        for instance in session.scalars(select(Instance)):
            instance.models = ["gone"]
    job, timeline = after_analysis(node, job_id, Refusing(ModelRefusedError("no")))
    assert job.state == FAILED
    assert timeline[-1].startswith("there is no model gone; known are ")
    assert "send it again" in timeline[-1]
