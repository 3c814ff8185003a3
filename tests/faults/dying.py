"""A receiver that kills itself (SIGKILL) before the n-th step of making instances durable.

And a sweeper that does so before the n-th step of removing studies.

A step is whatever changes the disk, the database or what a sender knows: making a file or a folder,
writing (killed when half of the bytes are written), fsync, link, rename, unlink, a commit, a
response. SIGUSR1 arms it, so that the same process first recovers and is looked at.

Processes are forked from one that has imported everything: a start takes a tenth of a second.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

import node.receive
from node.job import utc_now
from node.logs import configure_logs
from node.process import stop_on_signals
from node.retention.expiry import Expiry
from node.retention.removal import Rule
from node.settings import Settings, load_settings
from node.store.files import Files
from node.store.session import open_store
from node.upper_layer.connection import Connection

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])
_START_SECONDS = 60.0
_NAMES = (
    *("fsync", "fdatasync", "link", "replace", "rename", "unlink", "mkdir", "rmdir"),
    *("posix_fallocate", "ftruncate", "truncate"),
)


class Steps:
    """Counts steps while armed; at step `at` the process dies. Written to `log`, one a line."""

    def __init__(self, log: Path, at: int, in_recovery: bool) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._at = at
        self._in_recovery = in_recovery
        self._armed = False
        self._count = 0
        self._lock = threading.Lock()

    def arm(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Count from now on."""
        self._armed = True
        os.write(self._log, b"armed\n")

    def pass_by(self, name: str, torn: Callable[[], object] | None = None) -> None:
        """One step is about to be done; `torn` does a part of it first."""
        # The main thread beats and recovers; associations have threads of their own.
        mine = (threading.current_thread() is threading.main_thread()) == self._in_recovery
        if not self._armed or not mine:
            return
        with self._lock:
            self._count += 1
            os.write(self._log, f"{self._count} {name}\n".encode())
            if self._count == self._at:
                if torn is not None:
                    torn()
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()


_WRITE_AT = os.pwrite
_OPEN = os.open


def _wrap(steps: Steps) -> None:
    for name in _NAMES:
        setattr(os, name, _stepping(steps, name, getattr(os, name)))
    os.open = _opening(steps)  # type: ignore[assignment]
    os.pwrite = _writing_at(steps)  # type: ignore[assignment]
    commit = DefaultDialect.do_commit
    DefaultDialect.do_commit = _stepping(steps, "commit", commit)  # type: ignore[method-assign]
    Connection.send = _stepping(steps, "answer", Connection.send)  # type: ignore[method-assign]


def _stepping(steps: Steps, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def step(*arguments: Any, **more: Any) -> Any:
        steps.pass_by(name)
        return call(*arguments, **more)

    return step


def _opening(steps: Steps) -> Callable[..., int]:
    def step(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            steps.pass_by("create")
        return _OPEN(path, flags, *more, **options)

    return step


def _writing_at(steps: Steps) -> Callable[[int, Any, int], int]:
    def step(descriptor: int, content: Any, position: int) -> int:
        half = memoryview(content)[: len(content) // 2]
        steps.pass_by("pwrite", torn=lambda: _WRITE_AT(descriptor, half, position))
        return _WRITE_AT(descriptor, content, position)

    return step


def _without_space_at_fsync() -> None:
    """Every fsync of a file finds no space, as with delayed allocation."""
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    os.fsync = fail  # type: ignore[assignment]


def _serve(
    values: Mapping[str, Any], folder: Path, at: int, in_recovery: bool, full_at_fsync: bool
) -> None:
    settings = _settings(values, folder)
    steps = Steps(folder / "steps.log", at, in_recovery)
    signal.signal(signal.SIGUSR1, steps.arm)
    _wrap(steps)
    if full_at_fsync:
        _without_space_at_fsync()
    if in_recovery:
        steps.arm()
    node.receive.run_receiver(settings, stop_on_signals())


def _settings(values: Mapping[str, Any], folder: Path) -> Settings:
    output = _OPEN(folder / "receiver.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, sys.stderr.fileno())
    for key in [key for key in os.environ if key.startswith("SENTINODE_")]:
        del os.environ[key]
    settings = load_settings(**values)
    configure_logs(settings.log_level)
    return settings


def _expire(values: Mapping[str, Any], folder: Path, at: int, after_days: float) -> None:
    settings = _settings(values, folder)
    expiry = Expiry(open_store(settings), Files(settings.state_dir), Rule(1))
    steps = Steps(folder / "steps.log", at, in_recovery=True)
    _wrap(steps)
    steps.arm()
    while expiry.turn(utc_now() + timedelta(days=after_days)):
        pass


@dataclass(frozen=True)
class Dying:
    """The process and what it has written."""

    process: BaseProcess
    folder: Path

    def arm(self) -> None:
        """Let it die at its step from now on."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGUSR1)
        self._wait_for("steps.log", "armed")

    def killed(self) -> bool:
        """Whether it has killed itself; waits a moment for a process that is about to end."""
        self.process.join(0.2)
        return self.process.exitcode == -signal.SIGKILL

    def steps(self) -> list[str]:
        """The steps it has come to since it was armed."""
        lines = (self.folder / "steps.log").read_text().splitlines()
        return [line.split()[1] for line in lines if line != "armed"]

    def wait_until_ready(self) -> None:
        """Return once it listens, or has ended."""
        self._wait_for("receiver.log", "receiver listens")

    def _wait_for(self, name: str, text: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        path = self.folder / name
        while not path.is_file() or text not in path.read_text():
            if self.process.exitcode is not None:
                return
            assert time.monotonic() < deadline, f"no {text!r} in {name}"
            time.sleep(0.01)


@contextmanager
def receiver(
    values: Mapping[str, Any],
    folder: Path,
    at: int = 0,
    in_recovery: bool = False,
    full_at_fsync: bool = False,
) -> Iterator[Dying]:
    """Run one inside the block, ready when it is entered; `at` 0 never dies."""
    for name in ("steps.log", "receiver.log"):
        (folder / name).unlink(missing_ok=True)
    arguments = (dict(values), folder, at, in_recovery, full_at_fsync)
    process = _CONTEXT.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    dying = Dying(process, folder)
    try:
        dying.wait_until_ready()
        yield dying
    finally:
        if process.exitcode is None:
            process.terminate()
            process.join(20)
            process.kill()
        process.join()
        process.close()


def expire(
    values: Mapping[str, Any], folder: Path, at: int = 0, after_days: float = 2.0
) -> list[str] | None:
    """Pass over the store, as long after now as said, removing what is a day old.

    Returns the steps that it took; None when it died before step `at`, which 0 never does.
    """
    (folder / "steps.log").unlink(missing_ok=True)
    process = _CONTEXT.Process(target=_expire, args=(dict(values), folder, at, after_days))
    process.start()
    process.join(_START_SECONDS)
    killed = process.exitcode == -signal.SIGKILL
    assert killed or process.exitcode == 0, (folder / "receiver.log").read_text()
    process.close()
    return None if killed else Dying(process, folder).steps()
