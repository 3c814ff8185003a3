"""One operating-system process of the node: its name, its signals, its heartbeat."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError

from node.logs import log
from node.store.session import Store, insert_for
from node.store.tables import Process

BEAT_SECONDS = 5.0
# A signal is answered after this, whichever thread it was given to.
_SIGNAL_SECONDS = 0.25
# Rows of processes that are gone stay this long, for people who look for them.
_FORGOTTEN = timedelta(days=1)
_STARTED_AT = datetime.now(UTC)


def process_name(role: str) -> str:
    """Which process of which host, e.g. worker@clinic-1:4711; two containers may have the same."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


def beat(store: Store, name: str, role: str) -> None:
    """Say that the loop of process `name` still turns. Raises SQLAlchemyError."""
    now = datetime.now(UTC)
    with store.writing() as session:
        session.execute(
            insert_for(session, Process)
            .values(name=name, role=role, started_at=_STARTED_AT, beat_at=now)
            .on_conflict_do_update(
                index_elements=["name"],
                set_={"role": role, "started_at": _STARTED_AT, "beat_at": now},
            )
        )
        # Of its own role: one of which nobody is left is to be missed for longer than that.
        gone = delete(Process).where(Process.role == role, Process.beat_at < now - _FORGOTTEN)
        session.execute(gone)


def beat_until(
    stop: threading.Event, store: Store, role: str, beat_file: Path | None = None
) -> None:
    """Beat every few seconds until `stop` is set; a database that is away is only logged.

    `beat_file` is touched each time, for those who ask on this host alone.
    """
    name = process_name(role)
    while True:
        _touch(beat_file)
        try:
            beat(store, name, role)
        except SQLAlchemyError as error:
            log.warning("no heartbeat written", extra={"reason": type(error).__name__})
        if stopped(stop, BEAT_SECONDS):
            return


def stopped(stop: threading.Event, seconds: float) -> bool:
    """Wait until `stop` is set, `seconds` at most; whether it is set. For main threads.

    In short turns: while threads begin and end, the kernel may hand a signal to one of them. Python
    then calls the handler, which sets the event, only when the main thread wakes of itself.
    """
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if stop.wait(min(left, _SIGNAL_SECONDS)):
            return True
    return stop.is_set()


def _touch(beat_file: Path | None) -> None:
    if beat_file is not None:
        try:
            beat_file.touch()
        except OSError as error:
            log.warning("no heartbeat file written", extra={"reason": error.strerror})


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set, for an orderly end."""
    stop = threading.Event()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    return stop
