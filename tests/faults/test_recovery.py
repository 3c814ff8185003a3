"""Whatever stops, the study still ends as done, once.

Every part is real: the node's processes, Redis, Triton with the project's models, Orthanc. How long
a part stays away is short here and a full minute with SENTINODE_FAULT_SECONDS=60 (`make
test-slow`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.peers.needs import slow
from tests.peers.whole import Whole

AWAY_SECONDS = float(os.environ.get("SENTINODE_FAULT_SECONDS", "8"))
END_SECONDS = 120.0 + AWAY_SECONDS
NewStudy = Callable[[], Path]


def assert_done_once(whole: Whole, uid: str, found: dict[str, Any]) -> None:
    """The study is done and Orthanc holds exactly its results, each once."""
    assert found["state"] == "done", found
    assert found["error"] is None
    assert found["revision"] == 1
    listed = [result["sop_instance_uid"] for result in found["results"]]
    assert all(result["state"] == "confirmed" for result in found["results"])
    assert [result["kind"] for result in found["results"]].count("SR") == 1
    stored = [item for item in whole.orthanc.sop_instance_uids_of(uid) if item in listed]
    assert sorted(stored) == sorted(set(listed))
    assert len(whole.orthanc.sop_instance_uids_of(uid)) == len(listed)


def test_undisturbed_and_resent(whole: Whole, new_study: NewStudy) -> None:
    """A study ends as done; sending it again changes nothing and duplicates nothing."""
    folder = new_study()
    uid = whole.send(folder)
    assert_done_once(whole, uid, whole.status(uid, END_SECONDS))
    whole.send(folder)
    time.sleep(4)
    assert_done_once(whole, uid, whole.status(uid, END_SECONDS))


@slow
def test_delivery_by_c_store(peers: Whole, new_study: NewStudy) -> None:
    """The same by C-STORE with confirmation by C-FIND."""
    peers.deliver_by("c-store", "c-find")
    peers.start("receive", "sweep", "analysis", "delivery")
    try:
        uid = peers.send(new_study())
        assert_done_once(peers, uid, peers.status(uid, END_SECONDS))
    finally:
        peers.stop_all()


@slow
@pytest.mark.parametrize("part", ["triton", "orthanc"])
def test_a_part_that_hangs(whole: Whole, new_study: NewStudy, part: str) -> None:
    """Triton or Orthanc keeps its connections and answers nothing for a while."""
    process = getattr(whole, part).process
    process.send_signal(signal.SIGSTOP)
    try:
        uid = whole.send(new_study())
        time.sleep(AWAY_SECONDS)
        assert whole.status(uid)["state"] not in ("done", "failed")
    finally:
        process.send_signal(signal.SIGCONT)
    assert_done_once(whole, uid, whole.status(uid, END_SECONDS))


@pytest.mark.parametrize("part", ["triton", pytest.param("orthanc", marks=slow)])
def test_a_part_that_is_restarted(whole: Whole, new_study: NewStudy, part: str) -> None:
    """Triton's or Orthanc's process ends while the study needs it, and another takes its place."""
    with whole.without(part, AWAY_SECONDS):
        uid = whole.send(new_study())
    assert_done_once(whole, uid, whole.status(uid, END_SECONDS))


def test_redis_flushed(peers: Whole, new_study: NewStudy) -> None:
    """Every message is lost while the study waits; the sweeper rings again."""
    peers.start("receive", "sweep")
    try:
        uid = peers.send(new_study())
        peers.wait_for(uid, lambda found: found["state"] == "queued")
        with Redis(port=peers.redis.port) as client:
            client.flushall()
        peers.start("analysis", "delivery")
        assert_done_once(peers, uid, peers.status(uid, END_SECONDS))
    finally:
        peers.stop_all()


@pytest.mark.parametrize("state", ["running", pytest.param("delivering", marks=slow)])
def test_worker_killed_in_the_middle(whole: Whole, new_study: NewStudy, state: str) -> None:
    """kill -9 of both workers while they hold a lease; new ones finish, once."""
    uid = whole.send(new_study())
    whole.wait_for(uid, lambda found: found["state"] in (state, "done"))
    whole.kill("analysis", "delivery")
    whole.start("analysis", "delivery")
    assert_done_once(whole, uid, whole.status(uid, END_SECONDS))


def test_receiver_and_sweeper_killed(whole: Whole, new_study: NewStudy) -> None:
    """kill -9 of receiver and sweeper after the success; nothing acknowledged is lost."""
    uid = whole.send(new_study())
    whole.kill("receive", "sweep")
    whole.start("receive", "sweep")
    assert_done_once(whole, uid, whole.status(uid, END_SECONDS))
