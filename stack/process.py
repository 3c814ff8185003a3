"""One server process for the length of a block: started, waited for, and ended whatever happens."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from node.errors import ConfigurationError
from stack import sessions

# Two shared cores: a cold Orthanc or initdb under load has been seen to take several seconds.
START_SECONDS = 60.0
STOP_SECONDS = 10.0

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # prctl(2)


class NotStartedError(ConfigurationError):
    """The server ended or stayed silent; the text ends with what it wrote."""


@contextmanager
def running(
    argv: Sequence[str],
    log: Path,
    ready: Callable[[], bool],
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    start_seconds: float = START_SECONDS,
    stop_seconds: float = STOP_SECONDS,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; enter the block once `ready()` is true.

    `user`: run as this user (needs root). `environment`: instead of this process's. `stop_seconds`:
    what it may take to end before it is killed. Raises NotStartedError.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=user,
            env=environment,
            start_new_session=True,
            preexec_fn=partial(die_with_the_parent, signal.SIGKILL),
        )
    try:
        _await_ready(process, log, ready, start_seconds)
        yield process
    finally:
        stop(process, stop_seconds)
        sessions.kill(process.pid)  # what it left: Triton the processes of models it was loading


def stop(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """End a server politely, then not; nothing happens when it has ended already."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def die_with_the_parent(number: signal.Signals) -> None:
    """Between fork and exec: a killed command or test run must leave no server behind.

    One system call, no Python locks.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)


def _await_ready(
    process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool], seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:]
            raise NotStartedError(f"{process.args!r} (exit {process.poll()}): {said}")
        time.sleep(0.05)
