"""Several receiver processes on one port: fair shares, one store, and one may die alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydicom.uid import generate_uid
from pynetdicom.association import Association
from sqlalchemy import func, select

from node.settings import load_settings
from node.store.session import open_store
from node.store.tables import Instance
from tests.datasets import mammogram
from tests.peers.node import running_role, sentinode
from tests.peers.ports import free_port
from tests.peers.wire import associate

# For the port, the stop of a process and its start, on a busy machine.
_SECONDS = 60.0


class Pair:
    """Two receiver processes of one state folder."""

    def __init__(self, folder: Path, database_url: str = "") -> None:
        self.settings: dict[str, Any] = {
            "state_dir": folder / "state",
            "database_url": database_url,
            "dicom_port": free_port(),
            "dicom_processes": 2,
            "min_free_bytes": 0,
            "broker_url": "redis://127.0.0.1:1/0",
        }
        self.log = folder / "log"
        sentinode(self.settings, "db", "upgrade")

    def connections(self) -> list[int]:
        """How many connections each process serves."""
        port = self.settings["dicom_port"]
        processes = (self.process, *self.process.children())
        # Without those to the database.
        seen = [
            [c.status for c in process.net_connections() if c.laddr.port == port]
            for process in processes
        ]
        return sorted(statuses.count("ESTABLISHED") for statuses in seen if statuses)

    def store(self, count: int) -> None:
        """Send so many images, each on an association of its own, all open at the same time."""
        images = [mammogram() for _ in range(count)]
        with ExitStack() as open_ones:
            for image in images:
                association = associate(self.settings["dicom_port"], image.SOPClassUID)
                open_ones.callback(association.release)
                assert association.send_c_store(image).Status == 0x0000
            self.seen = self.connections()
        chosen = load_settings(**self.settings)
        store = open_store(chosen)
        with store.reading() as session:
            known = {row.sop_instance_uid for row in session.query(Instance)}
        store.close()
        assert {image.SOPInstanceUID for image in images} <= known


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A receiver of two processes, both of which listen."""
    with _listening(Pair(tmp_path)) as pair:
        yield pair


@contextmanager
def _listening(pair: Pair) -> Iterator[Pair]:
    with running_role(
        pair.settings, "receive", log=pair.log, ready_text="receiver listens"
    ) as process:
        pair.process = psutil.Process(process.pid)
        _wait_until(lambda: pair.log.read_text().count("receiver listens") == 2)
        yield pair


def _wait_until(said: Any) -> None:
    deadline = time.monotonic() + _SECONDS
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_wrong_file_is_said_once(tmp_path: Path) -> None:
    """Several processes, one sentence that names file, entry and field, and no traceback."""
    peers = tmp_path / "peers.yaml"
    peers.write_text("peers:\n  - {name: ARCHIVE, ae_title: ARCHIVE, host: a, port: 104}\n")
    chosen = {"state_dir": tmp_path / "state", "dicom_processes": 2, "peers": peers}
    sentinode(chosen, "db", "upgrade")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        sentinode(chosen, "run", "receive")
    (said,) = failed.value.stderr.splitlines()
    assert "peers.yaml, entry 1 (ARCHIVE): name: Extra inputs are not permitted" in said


def test_connections_are_dealt_out(pair: Pair) -> None:
    """Of eight associations at the same time each process serves its part; all are stored."""
    pair.store(8)
    assert sum(pair.seen) == 8
    assert min(pair.seen) >= 2


def test_one_that_dies_is_started_again(pair: Pair) -> None:
    """Its port stays open meanwhile, and afterwards both serve again."""
    (child,) = pair.process.children()
    child.kill()
    pair.store(2)
    _wait_until(lambda: pair.log.read_text().count("receiver listens") == 3)
    assert "receiver process died" in pair.log.read_text()
    pair.store(8)
    assert sum(pair.seen) == 8
    assert min(pair.seen) >= 2


def test_one_that_cannot_be_started_is_tried_again(pair: Pair) -> None:
    """After a moment without descriptors nobody tried again, and SIGTERM ended nothing any more."""
    (child,) = pair.process.children()
    limits = pair.process.rlimit(psutil.RLIMIT_NOFILE)
    pair.process.rlimit(psutil.RLIMIT_NOFILE, (1, limits[1]))
    child.kill()
    _wait_until(lambda: pair.log.read_text().count("receiver process died") >= 2)
    pair.process.rlimit(psutil.RLIMIT_NOFILE, limits)
    _wait_until(lambda: pair.log.read_text().count("receiver listens") == 3)
    pair.process.terminate()
    _wait_until(lambda: not pair.process.is_running() or _is_over(pair.process))


def _is_over(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_ZOMBIE


def test_none_stays_when_the_first_is_killed(pair: Pair) -> None:
    """kill -9 of the one that started the others ends them too, and the port is free."""
    (child,) = pair.process.children()
    os.kill(pair.process.pid, signal.SIGKILL)
    _wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    with running_role(
        pair.settings, "receive", log=pair.log.with_name("next"), ready_text="receiver listens"
    ) as process:
        pair.process = psutil.Process(process.pid)
        pair.store(2)


def test_other_bytes_of_one_uid_at_the_same_moment(tmp_path: Path, database_url: str) -> None:
    """Each process gets an object of the same UID: one is it, the other is kept apart and told."""
    with _listening(Pair(tmp_path, database_url)) as pair, ExitStack() as open_ones:
        port = pair.settings["dicom_port"]
        two = [associate(port, mammogram().SOPClassUID) for _ in range(2)]
        for each in two:
            open_ones.callback(each.release)
        assert pair.connections() == [1, 1]
        statuses = [_both_at_once(two, generate_uid()) for _ in range(30)]
    assert statuses == [[0x0000, 0xB000]] * len(statuses)
    store = open_store(load_settings(**pair.settings))
    with store.reading() as session:
        kept = session.execute(
            select(Instance.conflict, func.count()).group_by(Instance.conflict)
        ).all()
    store.close()
    assert sorted(map(tuple, kept)) == [(False, len(statuses)), (True, len(statuses))]


def _both_at_once(two: Sequence[Association], sop_instance_uid: str) -> list[int]:
    images = [mammogram(seed=seed) for seed in range(len(two))]
    for image in images:
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid
    with ThreadPoolExecutor() as threads:
        answers = threads.map(lambda peer, image: peer.send_c_store(image), two, images)
        return sorted(answer.Status for answer in answers)


def test_a_workers_lines_are_json(tmp_path: Path) -> None:
    """Celery writes nothing before ours, and its own come as they do."""
    chosen = {"state_dir": tmp_path / "state", "broker_url": "redis://127.0.0.1:1/0"}
    sentinode(chosen, "db", "upgrade")
    log = tmp_path / "log"
    with running_role(chosen, "worker", log=log, ready_text="Cannot connect"):
        said = log.read_text().splitlines()
    lines = [json.loads(line) for line in said if '"at": ' in line]
    assert any("Cannot connect" in line["message"] for line in lines)


def test_a_worker_without_a_broker_is_well(tmp_path: Path) -> None:
    """It waits for one that is away when it starts; what supervises it need not start it again."""
    beat = tmp_path / "beat"
    chosen = {"state_dir": tmp_path / "state", "broker_url": "redis://127.0.0.1:1/0"}
    chosen |= {"beat_file": beat}
    sentinode(chosen, "db", "upgrade")
    with running_role(chosen, "worker", log=tmp_path / "log", ready_text="Cannot connect"):
        sentinode(chosen, "probe", "worker", "--file", str(beat))
