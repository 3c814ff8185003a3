"""One server process of a test: started, waited for, and ended whatever the test does."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# Two shared cores: a cold Orthanc or initdb under load has been seen to take several seconds.
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # prctl(2)


class PeerNotStartedError(RuntimeError):
    """The server ended or stayed silent; the text ends with what it wrote."""


@contextmanager
def running(
    argv: Sequence[str],
    log: Path,
    ready: Callable[[], bool],
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; enter the block once `ready()` is true.

    `user`: run as this user (needs root). `environment`: instead of this process's.
    Raises PeerNotStartedError.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=user,
            env=environment,
            preexec_fn=_die_with_the_test,  # one system call, no Python locks
        )
    try:
        _await_ready(process, log, ready)
        yield process
    finally:
        stop(process)


def _die_with_the_test() -> None:
    """A killed test run must leave no server behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server politely, then not; nothing happens when it has ended already."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_ready(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:]
            raise PeerNotStartedError(f"{process.args!r} (exit {process.poll()}): {said}")
        time.sleep(0.05)
