"""A delivering worker dies (SIGKILL) at any step, and every result still arrives once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine.default import DefaultDialect

from node.destinations import Destination
from node.job import Lease
from node.settings import Settings, load_settings
from node.store.files import Files
from node.store.migrate import upgrade
from node.store.session import Store, open_store
from tests.deliveries import Deliveries, waiting_job
from tests.peers import orthanc as orthanc_peer
from tests.peers.needs import need
from tests.peers.node import running_role
from tests.peers.orthanc import Orthanc, running_orthanc
from tests.peers.ports import free_port
from workers.delivery import deliver_results

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, "tests.faults.dying"])
_END_SECONDS = 60.0
# Of its commits: every one with SENTINODE_FAULT_SECONDS (`make test-slow`), else a quarter of them.
_STRIDE = 1 if "SENTINODE_FAULT_SECONDS" in os.environ else 4
_MOST_STEPS = 60


@dataclass(frozen=True)
class Place:
    """A node with its receiver, and an Orthanc that knows it."""

    values: dict[str, Any]
    settings: Settings
    store: Store
    orthanc: Orthanc

    def destinations(self) -> list[dict[str, Any]]:
        """The same archive twice, by both protocols, confirmed in both ways."""
        orthanc = self.orthanc
        dimse = {"ae_title": orthanc.ae_title, "host": "127.0.0.1", "port": orthanc.dicom_port}
        web = {"name": "web", "protocol": "stow", "url": orthanc.dicomweb_url, "confirm": "qido"}
        return [web, dimse | {"name": "dimse", "protocol": "c-store", "confirm": "commitment"}]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return the place where workers die."""
    need(orthanc_peer.missing())
    folder = tmp_path_factory.mktemp("node")
    values = {
        "state_dir": str(folder / "state"),
        "dicom_port": free_port(),
        "min_free_bytes": 0,
        "broker_url": "redis://127.0.0.1:1/0",
    }
    settings = load_settings(**values)
    upgrade(settings)
    store, log = open_store(settings), folder / "receive.log"
    ours = {"AET": settings.ae_title, "Host": "127.0.0.1", "Port": settings.dicom_port}
    with (
        running_orthanc(DicomModalities={"node": ours}) as orthanc,
        running_role(dict(values), "receive", log=log, ready_text="receiver listens"),
    ):
        yield Place(values, settings, store, orthanc)
    store.close()


def _work(
    values: dict[str, Any], lease: Lease, destinations: list[dict[str, Any]], at: int
) -> None:
    """One round of a worker that dies just before its commit number `at`."""
    settings = load_settings(**values)
    commit, count = DefaultDialect.do_commit, [0]

    def dying_commit(dialect: Any, connection: Any) -> None:
        count[0] += 1
        if count[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(dialect, connection)

    DefaultDialect.do_commit = dying_commit  # type: ignore[method-assign]
    store = open_store(settings)
    wanted = [Destination.model_validate(each) for each in destinations]
    deliver_results(store, Files(settings.state_dir), lease, wanted, settings)


def killed(place: Place, deliveries: Deliveries, at: int) -> bool:
    """Whether a worker that was to die at this commit came so far."""
    arguments = (place.values, deliveries.lease(), place.destinations(), at)
    worker = _CONTEXT.Process(target=_work, args=arguments)
    worker.start()
    worker.join(_END_SECONDS)
    assert worker.exitcode in (0, -signal.SIGKILL)
    return worker.exitcode != 0


def finish(place: Place, deliveries: Deliveries) -> None:
    """Other workers take over until everything is confirmed."""
    wanted = [Destination.model_validate(each) for each in place.destinations()]
    deadline = time.monotonic() + _END_SECONDS
    while deliveries.round(*wanted) != []:
        assert time.monotonic() < deadline, deliveries.states()
        time.sleep(0.5)
        if "asked" in deliveries.states():
            deliveries.forget_pauses()


def test_killed_before_any_commit(place: Place, tmp_path: Path) -> None:
    """After each death others finish: all confirmed, and Orthanc counts every object once."""
    deaths = 0
    for at in range(1, _MOST_STEPS, _STRIDE):
        folder = tmp_path / str(at)
        folder.mkdir()
        deliveries = waiting_job(place.store, place.settings, folder, ["web", "dimse"])
        died = killed(place, deliveries, at)
        finish(place, deliveries)
        assert deliveries.states() == ["confirmed"] * 4
        uids = sorted(each.SOPInstanceUID for each in deliveries.objects)
        studies = {str(each.StudyInstanceUID) for each in deliveries.objects}
        stored = [uid for study in studies for uid in place.orthanc.sop_instance_uids_of(study)]
        assert sorted(stored) == uids
        deaths += died
        if not died:
            break
    assert not died, "the last worker should have come to its end"
    assert deaths >= 10 / _STRIDE
