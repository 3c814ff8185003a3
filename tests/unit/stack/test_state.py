"""The state directory: names, what the stack decides, and how it is told to programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from node.running import read_environment
from node.settings import load_settings
from stack.state import (
    SOCKET_PATH_BYTES,
    StateDir,
    resolve,
    write_destinations,
    write_stack_env,
)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SENTINODE_")]:
        monkeypatch.delenv(name)


def test_socket_lies_in_the_state_directory_where_it_fits() -> None:
    """A short state directory holds its own socket."""
    assert StateDir(Path("/srv/state")).socket == Path("/srv/state/supervisor.sock")


def test_socket_of_a_deep_state_directory_is_short_and_always_the_same() -> None:
    """A name that sun_path cannot hold gives way to a short one of this user."""
    deep = StateDir(Path("/srv") / ("deep" * 30))
    assert len(os.fsencode(deep.socket)) <= SOCKET_PATH_BYTES
    assert deep.socket == StateDir(deep.root).socket
    assert deep.socket != StateDir(deep.root / "other").socket


def test_peers_are_the_stacks_own(tmp_path: Path) -> None:
    """Broker, Triton and Orthanc addresses follow the ports, whatever the user's settings say."""
    user = load_settings(state_dir=tmp_path, broker_url="redis://elsewhere/0", redis_port=7001)
    settings, environment = resolve(user, triton_grpc_port=7002, orthanc_http_port=7003)
    assert settings.broker_url == "redis://127.0.0.1:7001/0"
    assert settings.triton_url == "127.0.0.1:7002"
    assert settings.orthanc == "http://127.0.0.1:7003"
    assert environment["SENTINODE_BROKER_URL"] == settings.broker_url


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run in other folders, so every path is told in full."""
    monkeypatch.chdir(tmp_path)
    settings, environment = resolve(load_settings(routes=Path("routes.yaml")))
    assert settings.state_dir == tmp_path / "state"
    assert environment["SENTINODE_ROUTES"] == str(tmp_path / "routes.yaml")
    assert settings.destinations == tmp_path / "state" / "destinations.yaml"


def test_what_is_not_set_is_not_passed_on(tmp_path: Path) -> None:
    """A port or a file that nobody named is no variable: "None" would be one."""
    _, environment = resolve(load_settings(state_dir=tmp_path))
    assert "None" not in environment.values()
    settings = load_settings(state_dir=tmp_path, peers="peers.yaml", dicom_tls_port=2762)
    _, environment = resolve(settings)
    assert environment["SENTINODE_PEERS"] == str(Path("peers.yaml").absolute())
    assert environment["SENTINODE_DICOM_TLS_PORT"] == "2762"


def test_users_destinations_stay(tmp_path: Path) -> None:
    """A destinations file of one's own is used instead of the stack's."""
    own = tmp_path / "mine.yaml"
    settings, _ = resolve(load_settings(state_dir=tmp_path, destinations=own))
    assert settings.destinations == own


def test_programs_read_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment carries is what the stack decided."""
    settings, environment = resolve(load_settings(state_dir=tmp_path), study_quiet_seconds=3)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_stack_env_survives_the_shell(tmp_path: Path) -> None:
    """Another process reads back what was written, spaces and quotes included."""
    state = StateDir(tmp_path)
    write_stack_env(state, {"SENTINODE_AE_TITLE": 'IT\'S A "NODE"', "SENTINODE_HTTP_PORT": "1"})
    assert read_environment(state.root) == {"ae_title": 'IT\'S A "NODE"', "http_port": "1"}


def test_no_stack_env_where_none_ran(tmp_path: Path) -> None:
    """A state directory without a stack says so by an empty mapping."""
    assert read_environment(tmp_path) == {}


def test_destination_is_orthanc_by_stow(tmp_path: Path) -> None:
    """The stack's one destination is its own archive, confirmed by QIDO."""
    settings, _ = resolve(load_settings(state_dir=tmp_path), orthanc_http_port=7003)
    write_destinations(settings)
    written = yaml.safe_load((tmp_path / "destinations.yaml").read_text())
    [orthanc] = written["destinations"]
    assert orthanc["url"] == "http://127.0.0.1:7003/dicom-web"
    assert (orthanc["protocol"], orthanc["confirm"]) == ("stow", "qido")
    assert orthanc["kinds"] == ["SEG", "SR"]
