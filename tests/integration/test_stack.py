"""The embedded stack for real: supervisord, Orthanc and Redis, on free ports."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE

from node.errors import ConfigurationError
from node.settings import Settings, load_settings
from stack import embedded, health, orthanc, ports, redis, supervisor
from stack.plan import Executables, peers
from stack.state import DEMO_MODALITY, StateDir, resolve, write_stack_env
from tests.peers import orthanc as orthanc_peer
from tests.peers import redis as redis_peer
from tests.peers.needs import need

WAIT_SECONDS = 60.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings on free ports whose state directory is temporary."""
    names = list(ports.LISTENERS)
    chosen = dict(zip(names, ports.free_ports(len(names)), strict=True))
    user = load_settings(state_dir=tmp_path / "state", **chosen)
    settings, environment = resolve(user)
    StateDir(settings.state_dir).prepare()
    write_stack_env(StateDir(settings.state_dir), environment)
    return settings


@pytest.fixture
def running(settings: Settings) -> Iterator[Settings]:
    """Run the archive and the broker under supervisord."""
    for missing in (orthanc_peer.missing(), redis_peer.missing()):
        need(missing)
    state = StateDir(settings.state_dir)
    orthanc.write_configuration(settings, orthanc.dicomweb_plugin())
    found = Executables(("unused",), orthanc.executable(), redis.executable(), ("unused",), {})
    chosen = [program for program in peers(settings, found) if program.name != "triton"]
    state.supervisord_conf.write_text(supervisor.render(chosen, state))
    process = supervisor.start(state, {})
    try:
        for part in health.parts(settings)[:2]:
            _until(part.answers)
        yield settings
    finally:
        if process.poll() is None:
            supervisor.stop(state)
        process.wait()


def test_a_killed_program_comes_back(running: Settings) -> None:
    """kill -9 of the broker costs seconds, not the broker."""
    state = StateDir(running.state_dir)
    before = supervisor.processes(state)["redis"].process_id
    os.kill(before, signal.SIGKILL)
    _until(lambda: supervisor.processes(state)["redis"].process_id not in (0, before))
    _until(health.parts(running)[0].answers)


def test_stopping_leaves_no_process(running: Settings) -> None:
    """After a stop every process is gone and every port is free."""
    state = StateDir(running.state_dir)
    ids = [found.process_id for found in supervisor.processes(state).values()]
    supervisor.stop(state)
    assert [each for each in ids if Path(f"/proc/{each}").exists()] == []
    assert ports.taken(running) == {}
    assert not supervisor.is_running(state)


def test_another_process_finds_the_running_stack(running: Settings) -> None:
    """From the state directory alone, with the ports that the stack was started with."""
    found = embedded.running(load_settings(state_dir=running.state_dir))
    assert found is not None
    assert found.settings == running


def test_no_stack_is_found_where_none_runs(settings: Settings) -> None:
    """A state directory that is left over from an earlier stack is not a running one."""
    assert embedded.running(settings) is None
    with pytest.raises(supervisor.StackNotRunningError, match="no stack runs"):
        supervisor.stop(StateDir(settings.state_dir))


def test_orthanc_stores_for_known_modalities_only(running: Settings) -> None:
    """The demo's modality is accepted, a stranger is not."""
    assert _store_status(running, DEMO_MODALITY) == 0x0000
    assert _store_status(running, "STRANGER") != 0x0000
    assert health.echo("ORTHANC", running.orthanc_dicom_port)


def test_orthanc_keeps_the_first_of_two(running: Settings) -> None:
    """The same SOP instance sent twice is there once."""
    assert _store_status(running, DEMO_MODALITY) == 0x0000
    assert _store_status(running, DEMO_MODALITY) == 0x0000
    assert len(httpx.get(f"{running.orthanc}/instances").json()) == 1


def test_orthanc_serves_dicomweb_without_a_password(running: Settings) -> None:
    """What the viewer's proxy asks is answered."""
    answer = httpx.get(
        f"{running.orthanc}/dicom-web/studies", headers={"Accept": "application/dicom+json"}
    )
    assert answer.status_code == 200


def test_an_occupied_port_stops_the_start(settings: Settings) -> None:
    """Before anything is written or started, with the setting to change."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.orthanc_dicom_port))
        other.listen()
        with pytest.raises(ConfigurationError, match="SENTINODE_ORTHANC_DICOM_PORT"):
            embedded.start(embedded.plan(settings))
    assert not StateDir(settings.state_dir).supervisord_conf.exists()


def test_a_path_with_a_space_stops_the_start(settings: Settings) -> None:
    """Triton would hang on it without a word."""
    spaced = settings.model_copy(update={"model_repository": Path("/my models")})
    with pytest.raises(ConfigurationError, match="has a space"):
        embedded.start(embedded.plan(spaced))


def test_a_folder_without_models_stops_the_start(settings: Settings, tmp_path: Path) -> None:
    """Triton would start with none, and `up` would wait for them to its end."""
    without = settings.model_copy(update={"model_repository": tmp_path / "nothing"})
    with pytest.raises(ConfigurationError, match=r"SENTINODE_MODEL_REPOSITORY .*holds no model"):
        embedded.start(embedded.plan(without))


def test_supervisord_that_cannot_start_says_why(settings: Settings) -> None:
    """Its own words are in the error."""
    state = StateDir(settings.state_dir)
    state.supervisord_conf.write_text("[supervisord]\nlogfile=/nowhere/at/all/log\n")
    with pytest.raises(supervisor.StackNotRunningError, match="/nowhere/at/all"):
        supervisor.start(state, {})


def _store_status(settings: Settings, calling: str) -> int | None:
    """Store one small object; None where not even an answer came."""
    image = Dataset()
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.1", "1.2", "1.2.3"
    image.PatientID = "NOBODY"
    entity = AE(calling)
    entity.add_requested_context(image.SOPClassUID, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", settings.orthanc_dicom_port, ae_title="ORTHANC")
    if not association.is_established:
        return None
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    answer = association.send_c_store(image)
    association.release()
    return int(answer.Status) if "Status" in answer else None


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
