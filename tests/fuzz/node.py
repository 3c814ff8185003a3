"""A receiver in this process, its whole stack behind a TCP port, and one broken session with it."""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import select

from node.association import open_listeners
from node.instance import Inbox, Reception
from node.routes import load_routes
from node.settings import load_settings
from node.store.files import Files
from node.store.migrate import upgrade
from node.store.session import open_store
from node.store.spool import Spool
from node.store.tables import Instance
from node.upper_layer.provider import StreamingProvider
from node.upper_layer.server import Listener
from tests.fuzz.mutation import mutated
from tests.fuzz.sessions import session
from tests.peers.pipelining import PLAIN, Sender
from tests.peers.ports import free_port
from tests.stored import temporary_files

# What a session may take: the node's own deadlines below, and a machine that is busy.
_LONGEST_SECONDS = 20.0
# Once in so many sessions the peer stays silent instead of closing: deadlines must end it.
_SILENT = 200


@dataclass
class Node:
    """The receiver; `check` says whether it is as it was before the sessions."""

    listener: Listener
    reception: Reception
    port: int
    threads: int = 0
    descriptors: Counter[str] = field(default_factory=Counter)
    raised: list[str] = field(default_factory=list)

    def settle_down(self) -> None:
        """Remember threads and descriptors of the idle node; after a first session."""
        self._await_idle()
        self.threads, self.descriptors = threading.active_count(), _open_descriptors()

    def check(self) -> None:
        """Nothing leaked, nothing half done is left, and a C-ECHO is answered."""
        with Sender(self.port, PLAIN) as sender:
            assert sender.echo() == 0x0000
            sender.release()
        self._await_idle()
        assert not self.raised, "\n".join(self.raised)
        files = self.reception.files
        assert temporary_files(files.root) == []
        with self.reception.store.reading() as reading:
            rows = set(reading.scalars(select(Instance.path).where(Instance.path != "")))
        on_disk = (files.root / "instances").rglob("*.dcm")
        assert rows == {str(path.relative_to(files.root)) for path in on_disk}

    def _await_idle(self) -> None:
        deadline = time.monotonic() + _LONGEST_SECONDS
        while busy := self._busy():
            assert time.monotonic() < deadline, f"left behind: {busy}"
            time.sleep(0.005)

    def _busy(self) -> str:
        if self.listener.active_associations or self.listener.admission._open:
            return "an association"
        if any(isinstance(each, StreamingProvider) for each in threading.enumerate()):
            return "the thread of an association"
        if self.descriptors and (more := _open_descriptors() - self.descriptors):
            return f"descriptors: {more}"
        if self.threads and threading.active_count() > self.threads:
            return "a thread"
        return ""


def converse(node: Node, random: Random) -> None:
    """One broken session; returns when the node has closed the connection."""
    content = mutated(random, session(random))
    with socket.create_connection(("127.0.0.1", node.port), timeout=_LONGEST_SECONDS) as peer:
        try:
            peer.sendall(content)
            if random.randrange(_SILENT):
                peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 16):
                pass
        except TimeoutError:
            raise
        except OSError:
            # The node may close while we still send.
            pass


@contextmanager
def running_node(folder: Path) -> Iterator[Node]:
    """Serve inside the block, with short deadlines; exceptions of threads are collected."""
    settings = load_settings(
        state_dir=folder / "state",
        dicom_port=free_port(),
        min_free_bytes=0,
        dicom_request_timeout_seconds=1,
        dicom_pdu_timeout_seconds=1,
        dicom_network_timeout_seconds=2,
    )
    upgrade(settings)
    files, store = Files(settings.state_dir), open_store(settings)
    files.prepare()
    reception = Reception(settings, store, files, load_routes(settings.routes))
    spool = Spool(files.incoming)
    (listener,) = open_listeners(Inbox(reception, spool))
    node = Node(listener, reception, settings.dicom_port)
    before = threading.excepthook
    threading.excepthook = lambda happened: node.raised.append(_described(happened))
    try:
        yield node
    finally:
        listener.shutdown()
        listener.drain(_LONGEST_SECONDS)
        listener.server_close()
        threading.excepthook = before
        spool.close()
        store.close()


def _described(happened: Any) -> str:
    return "".join(traceback.format_exception(happened.exc_value)[-12:])


def _open_descriptors() -> Counter[str]:
    """What is open, but for the database, whose pool may grow to its limit."""
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found[os.readlink(f"/proc/self/fd/{name}").split(":")[0]] += 1
    return Counter({name: count for name, count in found.items() if "sentinode.db" not in name})
