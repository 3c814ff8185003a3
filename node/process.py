"""One operating-system process of the node: its name, its signals, its heartbeat."""

from __future__ import annotations

import os
import signal
import socket
import threading
from types import FrameType

from sqlalchemy.exc import SQLAlchemyError

from node.health import beat
from node.logs import log
from node.store.session import Store

BEAT_SECONDS = 5.0


def process_name(role: str) -> str:
    """Unique among the running processes of all hosts, e.g. worker@clinic-1:4711."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


def beat_until(stop: threading.Event, store: Store, role: str) -> None:
    """Beat every few seconds until `stop` is set; a database that is away is only logged."""
    name = process_name(role)
    while True:
        try:
            beat(store, name, role)
        except SQLAlchemyError as error:
            log.warning("no heartbeat written", extra={"reason": type(error).__name__})
        if stop.wait(BEAT_SECONDS):
            return


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set, for an orderly end."""
    stop = threading.Event()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    return stop
