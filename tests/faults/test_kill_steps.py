"""kill -9 before every step of the durable order, and in the middle of every write.

Whatever was acknowledged is there afterwards, nothing half is visible, nothing temporary is left,
and the sender can send the same objects again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from node.settings import load_settings
from node.store.migrate import upgrade
from tests.faults.dying import receiver
from tests.peers.ports import free_port
from tests.peers.postgresql import Postgresql
from tests.stored import Objects, Sent, assert_sound, store_all

# `make test-slow` sets it.
_SLOW = "SENTINODE_FAULT_SECONDS" in os.environ

Send = Callable[[int, list[Sent]], dict[str, int]]

# In its row; one file in four PDUs.
# In a row, in a pack, in a file of its own.
SMALL, MEDIUM, LARGE = (40, 30), (500, 400), (1000, 800)


def one_by_one(port: int, objects: list[Sent]) -> dict[str, int]:
    """One association, each object answered before the next is sent."""
    return store_all(port, objects)


def pipelined(port: int, objects: list[Sent]) -> dict[str, int]:
    """One association with an asynchronous window: settled as batches."""
    return store_all(port, objects, window=8)


def at_once(port: int, objects: list[Sent]) -> dict[str, int]:
    """An association for each object, at the same time."""
    answered: dict[str, int] = {}

    def send(one: Sent) -> None:
        answered.update(store_all(port, [one]))

    threads = [threading.Thread(target=send, args=(each,)) for each in objects]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answered


# Name, size, number of objects, how they are sent.
SCENARIOS = {
    "a small object": (SMALL, 1, one_by_one),
    "a large object": (LARGE, 1, one_by_one),
    "the first medium object": (MEDIUM, 1, one_by_one),
    "two in turn": (LARGE, 2, one_by_one),
    "a batch of medium ones": (MEDIUM, 4, pipelined),
    "a batch of small ones": (SMALL, 4, pipelined),
    "a batch of large ones": (LARGE, 3, pipelined),
    "three associations": (LARGE, 3, at_once),
}


def prepared(tmp_path: Path, **more: Any) -> dict[str, Any]:
    """Settings of a new, migrated store."""
    values: dict[str, Any] = {
        "state_dir": tmp_path / "state",
        "dicom_port": free_port(),
        "dicom_storage_classes": "breast",
        "min_free_bytes": 0,
        # The one that dies is the one that serves.
        "dicom_processes": 1,
    } | more
    upgrade(load_settings(**values))
    return values


def kill_at_every_step(
    values: Mapping[str, Any], folder: Path, scenario: str, every: int = 1
) -> list[str]:
    """Kill before step 1, 2, ... until there is no such step; returns the steps in their order.

    What was not answered is sent again to the next process; in a scenario of "first" objects to one
    of its own, so that the next that dies begins its pack in its steps.
    """
    size_px, count, send = SCENARIOS[scenario]
    objects, port = Objects(size_px), values["dicom_port"]
    acknowledged: list[Sent] = []
    unanswered: list[Sent] = []
    at = 0
    while True:
        at += every
        if "first" in scenario:
            with receiver(values, folder, 0):
                acknowledged += sent_again(values, acknowledged, unanswered)
            unanswered = []
        with receiver(values, folder, at) as dying:
            acknowledged += sent_again(values, acknowledged, unanswered)
            sent = [objects.new() for _ in range(count)]
            dying.arm()
            answered = send(port, sent)
            killed, steps = dying.killed(), dying.steps()
        assert set(answered.values()) <= {0x0000}
        acknowledged += [each for each in sent if each.sop_instance_uid in answered]
        unanswered = [each for each in sent if each.sop_instance_uid not in answered]
        if not killed:
            assert not unanswered
            assert_sound(values, acknowledged)
            return steps


def sent_again(
    values: Mapping[str, Any], acknowledged: list[Sent], unanswered: list[Sent]
) -> list[Sent]:
    """What died without an answer is taken, after nothing that had one was lost."""
    assert_sound(values, acknowledged)
    again = store_all(values["dicom_port"], unanswered)
    assert set(again.values()) <= {0x0000}
    assert len(again) == len(unanswered)
    return unanswered


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_kill_at_every_step(scenario: str, tmp_path: Path) -> None:
    """On SQLite, every step of one object, and of all others when there is time."""
    every = 1 if _SLOW or "object" in scenario else 6
    steps = kill_at_every_step(prepared(tmp_path), tmp_path, scenario, every)
    assert {"commit", "answer"} <= set(steps)
    if "first" in scenario:
        assert {"create", "pwrite", "fdatasync", "link"} <= set(steps)
    elif "small" not in scenario and "medium" not in scenario:
        assert {"create", "pwrite", "fsync", "replace", "mkdir", "link", "unlink"} <= set(steps)


def test_kill_at_steps_on_postgresql(tmp_path: Path, postgresql: Postgresql) -> None:
    """On PostgreSQL, steps of a batch."""
    values = prepared(tmp_path, database_url=postgresql.new_database())
    kill_at_every_step(values, tmp_path, "a batch of large ones", every=1 if _SLOW else 8)


def test_kill_while_recovering(tmp_path: Path) -> None:
    """A process that dies while it cleans up after a dead one leaves the rest to the next."""
    values, objects = prepared(tmp_path), Objects(LARGE)
    acknowledged: list[Sent] = []

    def send(at: int) -> list[str]:
        with receiver(values, tmp_path, at) as dying:
            sent = [objects.new() for _ in range(3)]
            dying.arm()
            answered = pipelined(values["dicom_port"], sent)
            assert dying.killed() == bool(at)
            acknowledged.extend(each for each in sent if each.sop_instance_uid in answered)
            return dying.steps()

    # Files have their final names as well, and no row names them.
    commit = send(0).index("commit") + 1
    at, killed = 0, True
    while killed:
        at += 1 if _SLOW else 4
        send(commit)
        with receiver(values, tmp_path, at, in_recovery=True) as dying:
            killed = dying.killed()
            cleaning = "unlink" in dying.steps()
        with receiver(values, tmp_path):
            assert_sound(values, acknowledged)
    assert cleaning
