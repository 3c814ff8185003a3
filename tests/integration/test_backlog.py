"""What a sweeper does with more waiting jobs than it can ring for, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy import func, select, update

from node.doorbell import Doorbell
from node.job import ANALYSIS_QUEUE, DELIVERING, DELIVERY_QUEUE, QUEUED, utc_now
from node.process import beat
from node.routes import load_routes
from node.settings import Settings
from node.store.session import Store
from node.store.tables import Delivery, DestinationState, Job, Process, Result, Study
from node.sweep import sweep
from tests.peers.redis import running_redis
from workers.dispatch.availability import works

# More than rows that one statement can name on PostgreSQL, which takes 65,535 parameters.
JOBS = 66_000


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A broker for this file."""
    with running_redis() as server, Redis(port=server.port) as client:
        yield client


@pytest.fixture
def doorbell(settings: Settings, redis: Redis) -> Iterator[Doorbell]:
    """Return one that rings there, and nowhere else."""
    redis.flushall()
    port = redis.connection_pool.connection_kwargs["port"]
    broker_url = f"redis://127.0.0.1:{port}/0"
    bell = Doorbell(settings.model_copy(update={"broker_url": broker_url}))
    yield bell
    bell.close()


def _add_jobs(store: Store, count: int, state: str = QUEUED) -> None:
    now = utc_now()
    times = {"first_instance_at": now, "last_instance_at": now}
    with store.writing() as session:
        number = session.query(Study).count() + 1
        study_uid = f"1.2.{number}"
        session.add(Study(study_uid=study_uid, state=state, revision=count, **times))
        session.flush()
        row = {"study_uid": study_uid, "state": state, "due_at": now, "complete_at": now}
        rows = [row | {"revision": each + 1, "attempts": 0, "crashes": 0} for each in range(count)]
        session.execute(Job.__table__.insert(), rows)  # type: ignore[attr-defined]  # a Table


def test_a_backlog_whose_messages_are_lost_is_rung_for_in_parts(
    store: Store, settings: Settings, doorbell: Doorbell, redis: Redis
) -> None:
    """A flushed Redis behind a large backlog: work goes on, and no round takes long."""
    _add_jobs(store, JOBS)
    _add_jobs(store, 1, DELIVERING)
    routes = load_routes(None)
    sweep(store, routes, doorbell, settings)
    rung = doorbell.waiting(ANALYSIS_QUEUE)
    assert rung is not None
    assert 0 < rung < 1000
    assert doorbell.waiting(DELIVERY_QUEUE) == 1
    # The workers have enough to do.
    sweep(store, routes, doorbell, settings)
    assert doorbell.waiting(ANALYSIS_QUEUE) == rung
    # They have done it: the next ones, not the same again.
    redis.delete(ANALYSIS_QUEUE)
    sweep(store, routes, doorbell, settings)
    with store.reading() as session:
        marked = session.scalars(select(Job.id).where(Job.rung_at.is_not(None))).all()
    assert len(marked) == 2 * rung + 1


def test_all_who_wait_for_an_archive_are_woken(store: Store) -> None:
    """However many they are, when it is back after an outage in a migration."""
    if store.engine.dialect.name == "sqlite":
        return  # it takes four times as many parameters
    _add_jobs(store, JOBS, DELIVERING)
    uids = {"sop_class_uid": "1.3", "series_uid": "1.4"}
    one = {"kind": "SR", "variant": "", "path": "", "size_bytes": 1} | uids
    waits = {"destination": "archive", "state": "pending", "attempts": 0, "failures": 0}
    with store.writing() as session:
        session.execute(update(Job).values(due_at=utc_now() + timedelta(minutes=5)))
        ids = session.scalars(select(Job.id)).all()
        results = [
            one | {"id": id_, "job_id": id_, "sop_instance_uid": f"1.5.{id_}"} for id_ in ids
        ]
        session.execute(Result.__table__.insert(), results)  # type: ignore[attr-defined]  # a Table
        deliveries = [waits | {"result_id": id_} for id_ in ids]
        session.execute(Delivery.__table__.insert(), deliveries)  # type: ignore[attr-defined]
        session.add(DestinationState(name="archive", failures=1, due_at=utc_now()))
    assert works(store, "archive")
    with store.reading() as session:
        assert session.scalar(select(func.count()).where(Job.due_at <= utc_now())) == JOBS


def test_a_job_that_somebody_is_writing_to_holds_up_no_other(
    store: Store, settings: Settings, doorbell: Doorbell
) -> None:
    """A worker that stands still within its transaction keeps its own job, and no sweeper."""
    if store.engine.dialect.name == "sqlite":
        return  # one writer at a time: there is no such thing
    _add_jobs(store, 2)
    with store.writing() as still:
        first = still.scalars(select(Job).order_by(Job.id)).first()
        assert first is not None
        still.execute(update(Job).where(Job.id == first.id).values(attempts=1))
        args = store, load_routes(None), doorbell, settings
        sweeper = threading.Thread(target=sweep, args=args, daemon=True)
        sweeper.start()
        sweeper.join(20)
        assert not sweeper.is_alive()
    assert doorbell.waiting(ANALYSIS_QUEUE) == 1


def test_a_role_of_which_nobody_is_left_is_missed_for_ever(store: Store) -> None:
    """Not for a day alone: the alert that no worker beats would end by itself."""
    beat(store, "worker@a:1", "worker")
    beat(store, "worker@b:1", "worker")
    with store.writing() as session:
        session.execute(update(Process).values(beat_at=utc_now() - timedelta(days=2)))
    beat(store, "sweep@a:2", "sweep")
    assert _names(store) == {"worker@a:1", "worker@b:1", "sweep@a:2"}
    beat(store, "worker@c:1", "worker")
    assert _names(store) == {"worker@c:1", "sweep@a:2"}


def _names(store: Store) -> set[str]:
    with store.reading() as session:
        return set(session.scalars(select(Process.name)))
