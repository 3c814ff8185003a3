"""The receiver as a process: recover, listen, beat, stop in an orderly way.

With more than one process, the first starts the others and starts again what dies; they share ports
and the state folder, and each has a spool folder of its own. One process is one processor's work at
most: Python runs one thread of it at a time.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from node.association import open_listeners, share_ports
from node.errors import SentinodeError
from node.instance import Inbox, Reception, recover
from node.logs import configure_logs, log
from node.peers import load_peers
from node.process import beat_until, stop_on_signals
from node.routes import load_routes
from node.settings import Settings
from node.store.files import Files
from node.store.session import open_store, unusable_state
from node.store.spool import Spool
from node.store.write_ahead import lay_out
from node.upper_layer.sharing import Shared

# A thread that computes gives way after this; each read and write of the others waits for it. With
# Python's 5 ms one peer that keeps a thread computing leaves others a twentieth.
_SWITCH_SECONDS = 0.0005
# By default: a third one takes memory, and the rest of a small machine is for other roles.
_MOST_PROCESSES = 2
# A process that dies at once is not started again faster than this.
_RESTART_SECONDS = 1.0
# Associations that are at work get this long to end when the process is told to.
_DRAIN_SECONDS = 5.0


def run_receiver(settings: Settings, stop: threading.Event) -> None:
    """Serve associations until `stop` is set. Raises ConfigurationError."""
    processes = settings.dicom_processes or min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
    if processes == 1:
        _receive(settings, stop, None)
        return
    # Before there are several processes: what is wrong in these files is to be said once.
    load_routes(settings.routes)
    load_peers(settings.peers)
    shared = share_ports(settings, processes)
    with _others(settings, stop, shared, processes):
        _receive(settings, stop, shared)


def _receive(settings: Settings, stop: threading.Event, shared: Shared | None) -> None:
    files = Files(settings.state_dir)
    store = open_store(settings)
    try:
        files.prepare()
        spool = Spool(files.incoming)
    except OSError as error:
        raise unusable_state(settings, error) from error
    reception = Reception(
        settings, store, files, load_routes(settings.routes), load_peers(settings.peers)
    )
    recovered = recover(reception)
    lay_out(store)
    inbox = Inbox(reception, spool)
    listeners = open_listeners(inbox, shared)
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What is loaded by now stays; collections need not look at it again.
    gc.freeze()
    log.info(
        "receiver listens",
        extra={
            "ae_title": settings.ae_title,
            "ports": [each.server_address[1] for each in listeners],
            "discarded_partial_files": recovered,
        },
    )
    beat_until(stop, store, "receive", settings.beat_file)
    for each in listeners:
        each.shutdown()
    if shared is not None:
        shared.close()
    for each in listeners:
        each.drain(_DRAIN_SECONDS)
    inbox.close()
    store.close()


@contextmanager
def _others(
    settings: Settings, stop: threading.Event, shared: Shared, processes: int
) -> Iterator[None]:
    """The other processes while the block runs; one that dies is started again."""
    # Forked, so that what is imported is in memory once, while this process has neither threads
    # nor connections that a child could share.
    gc.freeze()
    others = [_start("fork", settings, shared, number) for number in range(1, processes)]

    def watch() -> None:
        while not stop.wait(_RESTART_SECONDS):
            for position, process in enumerate(others):
                if not process.is_alive():
                    log.error("receiver process died", extra={"exit_code": process.exitcode})
                    with suppress(OSError):  # no descriptor or process left: again, until there is
                        # Not forked any more: by now this process has threads, which hold locks.
                        others[position] = _start("spawn", settings, shared, position + 1)
        for process in others:
            process.terminate()

    watcher = threading.Thread(target=watch, name="other processes", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        for process in others:
            process.join()


def _start(method: str, settings: Settings, shared: Shared, number: int) -> BaseProcess:
    context: Any = multiprocessing.get_context(method)
    process: BaseProcess = context.Process(
        target=_receive_in_child, args=(settings, shared.of(number)), daemon=False
    )
    process.start()
    return process


def _receive_in_child(settings: Settings, shared: Shared) -> None:
    configure_logs(settings.log_level)
    stop = stop_on_signals()
    threading.Thread(target=_stop_with_parent, args=(stop,), name="parent", daemon=True).start()
    try:
        _receive(settings, stop, shared)
    except SentinodeError as error:
        # A file that was changed meanwhile, when this process is started again.
        log.error("receiver process cannot start", extra={"reason": str(error)})
        sys.exit(1)


def _stop_with_parent(stop: threading.Event) -> None:
    """End in an orderly way when nobody is left who would."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    stop.set()
