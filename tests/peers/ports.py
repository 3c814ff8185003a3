"""TCP ports of this machine that nothing listens on."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` different ports that are free on loopback at this moment.

    They are held together while they are chosen, so that no two are the same.
    """
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(each.getsockname()[1] for each in sockets)


def free_port() -> int:
    """Return one free port."""
    return free_ports(1)[0]


def listens(port: int) -> bool:
    """Whether something on loopback accepts a connection on `port`."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_silent(port: int, timeout_seconds: float = 10.0) -> None:
    """Return once nothing listens on `port`. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_seconds
    while listens(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"port {port} still answers")
        time.sleep(0.02)


def wait_until_listening(port: int, timeout_seconds: float = 60.0) -> None:
    """Return once something listens on `port`. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_seconds
    while not listens(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on port {port}")
        time.sleep(0.05)
