"""TCP ports of this machine that nothing listens on."""

from __future__ import annotations

import itertools
import os
import random
import socket
import time

# Below those that Linux gives to who asks for any (32768 and up): between the choice of a port and
# its use nobody gets it by chance. Each process of a parallel run has thousands of its own.
_FIRST, _PER_PROCESS, _PROCESSES = 14_000, 4_500, 4
_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
_own = range(_FIRST + _process * _PER_PROCESS, _FIRST + (_process + 1) * _PER_PROCESS)
# Runs beside each other begin at places of their own.
_next = itertools.islice(itertools.cycle(_own), random.randrange(len(_own)), None)


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` different ports on which nothing listens.

    None is returned again before thousands of others were.
    """
    return tuple(itertools.islice(filter(_is_free, _next), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


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
