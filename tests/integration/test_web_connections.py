"""Who merely connects to the web process: silent and half-sent requests, and very many of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from node.web.connections import CONNECTIONS_OF_HOST, REQUEST_SECONDS
from tests.integration.test_login import Site
from tests.peers.ports import free_port

HALF = b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: "


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Run a web process for a network, which believes no proxy."""
    port = free_port()
    with Site(tmp_path, http_trusted_proxies="192.0.2.1").process(port):
        yield port


def _connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10, (source, 0))


def _is_open(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def test_who_asks_nothing_is_cut_off(port: int) -> None:
    """Silent, half-sent and after an answer: none is waited for; a slow whole request is served."""
    with ExitStack() as stack:
        silent, half, dripping, second = (stack.enter_context(_connect(port)) for _ in range(4))
        half.sendall(HALF)
        second.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        assert second.recv(65536).startswith(b"HTTP/1.1 200")
        second.sendall(HALF)
        dripping.sendall(HALF)
        time.sleep(3)
        dripping.sendall(b"1\r\n\r\n")
        assert dripping.recv(65536).startswith(b"HTTP/1.1 200")
        deadline = time.monotonic() + 4 * REQUEST_SECONDS
        while any(map(_is_open, (silent, half, dripping, second))):
            assert time.monotonic() < deadline


def test_one_host_cannot_take_them_all(port: int) -> None:
    """Of very many connections some are not taken; other hosts are answered meanwhile."""
    with ExitStack() as stack:
        greedy = [stack.enter_context(_connect(port, "127.0.0.9")) for _ in range(150)]
        time.sleep(2)
        assert sum(map(_is_open, greedy)) <= CONNECTIONS_OF_HOST
        assert httpx.get(f"http://127.0.0.1:{port}/login", trust_env=False, timeout=10).is_success
