"""Ports: an occupied one is named with its setting, or replaced."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.errors import ConfigurationError
from node.settings import Settings, load_settings
from stack import ports


@pytest.fixture
def occupied() -> Iterator[int]:
    """Return a port on which somebody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def _settings(tmp_path: Path, **changed: int) -> Settings:
    names = list(ports.LISTENERS)
    chosen: dict[str, Any] = dict(zip(names, ports.free_ports(len(names)), strict=True))
    return load_settings(state_dir=tmp_path, **{**chosen, **changed})


def test_free_ports_pass(tmp_path: Path) -> None:
    """Nothing is said where nothing is taken."""
    ports.require_free(_settings(tmp_path))


def test_an_occupied_port_is_named_with_its_setting(tmp_path: Path, occupied: int) -> None:
    """The text says which port, for whom, and which setting moves it."""
    settings = _settings(tmp_path, orthanc_http_port=occupied)
    with pytest.raises(ConfigurationError) as caught:
        ports.require_free(settings)
    assert str(caught.value) == (
        f"port {occupied} for Orthanc (HTTP) is in use: set SENTINODE_ORTHANC_HTTP_PORT to another"
    )


def test_two_settings_with_one_port_are_both_named(tmp_path: Path) -> None:
    """A port that the stack itself wants twice is not free either."""
    [port] = ports.free_ports(1)
    settings = _settings(tmp_path, redis_port=port, http_port=port)
    assert set(ports.taken(settings)) == {"redis_port", "http_port"}


def test_only_taken_ports_are_replaced(tmp_path: Path, occupied: int) -> None:
    """The others stay where the user expects them."""
    settings = _settings(tmp_path, dicom_port=occupied)
    replaced = ports.replacements(settings)
    assert list(replaced) == ["dicom_port"]
    ports.require_free(_settings(tmp_path, **replaced))


def test_a_port_taken_on_all_addresses_is_not_free() -> None:
    """A server on 0.0.0.0 occupies loopback as well."""
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])
