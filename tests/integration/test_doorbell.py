"""The doorbell at a real Redis that is there and refuses what it is asked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from node.doorbell import Doorbell
from node.identifiers import JobId
from node.job import ANALYSE_TASK, ANALYSIS_QUEUE, Bell
from node.settings import load_settings
from tests.peers.redis import running_redis

BELL = Bell(ANALYSE_TASK, ANALYSIS_QUEUE, JobId(1))


@pytest.fixture
def redis() -> Iterator[Redis]:
    """A Redis of its own: what is done to it harms no other test."""
    with running_redis() as server, Redis(port=server.port) as client:
        folder = Path(str(client.config_get("dir")["dir"]))
        yield client
        # Its end cleans the folder up.
        folder.mkdir(exist_ok=True)


def _full(redis: Redis) -> None:
    redis.config_set("maxmemory", "1")


def _cannot_save(redis: Redis) -> None:
    shutil.rmtree(str(redis.config_get("dir")["dir"]))
    redis.config_set("save", "1 1")
    redis.bgsave()
    while redis.info("persistence")["rdb_last_bgsave_status"] != "err":
        time.sleep(0.1)


def _replica(redis: Redis) -> None:
    redis.replicaof("127.0.0.1", 1)


def _other_password(redis: Redis) -> None:
    redis.config_set("requirepass", "another")
    # Who is connected stays it.
    redis.client_kill_filter(_type="normal", skipme=True)


def _other_data(redis: Redis) -> None:
    redis.delete(ANALYSIS_QUEUE)
    redis.set(ANALYSIS_QUEUE, "not a list")


@pytest.mark.parametrize(
    "trouble",
    [_full, _cannot_save, _replica, _other_password, _other_data],
    ids=lambda trouble: trouble.__name__,
)
def test_a_broker_that_refuses_is_a_broker_that_is_away(
    redis: Redis, trouble: Callable[[Redis], None]
) -> None:
    """Nothing is raised, as where it does not answer: the sweeper goes on, and rings again."""
    port = redis.connection_pool.connection_kwargs["port"]
    doorbell = Doorbell(load_settings(broker_url=f"redis://127.0.0.1:{port}/0"))
    assert doorbell.ring(BELL)
    assert doorbell.waiting(ANALYSIS_QUEUE) == 1
    trouble(redis)
    assert not doorbell.ring(BELL)
    assert doorbell.waiting(ANALYSIS_QUEUE) in (None, 1)
    doorbell.close()
