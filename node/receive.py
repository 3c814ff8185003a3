"""The receiver as a process: recover, listen, beat, stop in an orderly way.

With more than one process, a parent starts them and starts again what dies; they share the port and
the state folder, and each has a spool folder of its own.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
import threading
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from node.association import open_listeners
from node.instance import Inbox, Reception, recover
from node.logs import configure_logs, log
from node.peers import load_peers
from node.process import beat_until, stop_on_signals
from node.routes import load_routes
from node.settings import Settings
from node.store.files import Files
from node.store.session import open_store
from node.store.spool import Spool

# A thread that computes gives way after this; each read and write of the others waits for it. With
# Python's 5 ms one peer that keeps a thread computing leaves others a twentieth.
_SWITCH_SECONDS = 0.0005
# A process that dies at once is not started again faster than this.
_RESTART_SECONDS = 1.0
# Associations that are at work get this long to end when the process is told to.
_DRAIN_SECONDS = 5.0


def run_receiver(settings: Settings, stop: threading.Event) -> None:
    """Serve associations until `stop` is set. Raises ConfigurationError."""
    if settings.dicom_processes == 1:
        _receive(settings, stop)
    else:
        _run_processes(settings, stop)


def _receive(settings: Settings, stop: threading.Event) -> None:
    files = Files(settings.state_dir)
    files.prepare()
    store = open_store(settings)
    reception = Reception(
        settings, store, files, load_routes(settings.routes), load_peers(settings.peers)
    )
    recovered = recover(reception)
    inbox = Inbox(reception, Spool(files.incoming))
    listeners = open_listeners(inbox)
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
    for each in listeners:
        each.drain(_DRAIN_SECONDS)
    inbox.close()
    store.close()


def _run_processes(settings: Settings, stop: threading.Event) -> None:
    # Forked, so that what is imported is in memory once; this process has no thread and no
    # connection that a child could share.
    context = multiprocessing.get_context("fork")
    gc.freeze()

    def start() -> BaseProcess:
        process = context.Process(target=_receive_in_child, args=(settings,), daemon=False)
        process.start()
        return process

    processes = [start() for _ in range(settings.dicom_processes)]
    while not stop.wait(_RESTART_SECONDS):
        for position, process in enumerate(processes):
            if not process.is_alive():
                log.error("receiver process died", extra={"exit_code": process.exitcode})
                processes[position] = start()
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _receive_in_child(settings: Settings) -> None:
    configure_logs(settings.log_level)
    stop = stop_on_signals()
    threading.Thread(target=_stop_with_parent, args=(stop,), name="parent", daemon=True).start()
    _receive(settings, stop)


def _stop_with_parent(stop: threading.Event) -> None:
    """End in an orderly way when nobody is left who would."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    stop.set()
