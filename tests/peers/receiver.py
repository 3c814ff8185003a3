"""`sentinode run receive` as a peer of tests: started with settings, and looked at from outside."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.peers.node import running_role, sentinode
from tests.peers.ports import free_port
from tests.stored import temporary_files


@dataclass(frozen=True)
class Holdings:
    """What the processes hold: it must be the same after a peer has gone."""

    connections: int
    threads: int


@dataclass(frozen=True)
class RunningReceiver:
    """A receiver with all its processes, its port and its files."""

    port: int
    tls_port: int
    state_dir: Path
    log: Path
    process: psutil.Process

    def holdings(self) -> Holdings:
        """Sockets with what wakes their threads, and threads, at this moment.

        Connections to the database and files of other senders come and go; they do not count.
        """
        links = [_link(path) for pid in self.pids() for path in Path(f"/proc/{pid}/fd").iterdir()]
        connections = [link for link in links if link.startswith(("socket:", "anon_inode:[eventf"))]
        threads = sum(psutil.Process(pid).num_threads() for pid in self.pids())
        return Holdings(len(connections), threads)

    def spool_files(self) -> set[str]:
        """Files of objects that are being received."""
        return set(temporary_files(self.state_dir))

    def pids(self) -> list[int]:
        """The process that was started, and those that it started."""
        return [self.process.pid, *(child.pid for child in self.process.children())]

    def peak_bytes(self) -> int:
        """The most memory that each process has had (VmHWM), summed up."""
        status = [Path(f"/proc/{pid}/status").read_text() for pid in self.pids()]
        return sum(int(text.split("VmHWM:")[1].split()[0]) * 1024 for text in status)

    def log_lines(self) -> list[dict[str, Any]]:
        """What it has logged; lines of libraries are left out."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for_log(self, text: str, seconds: float = 10.0) -> dict[str, Any]:
        """The first line whose message or reason contains the text."""

        def found() -> dict[str, Any] | None:
            for line in self.log_lines():
                if text in f"{line['message']} {line.get('reason', '')}":
                    return line
            return None

        return wait_until(found, seconds, f"log line {text!r}")


@contextmanager
def running_receiver(folder: Path, **more: object) -> Iterator[RunningReceiver]:
    """Run a receiver with these settings on top of the tests' own."""
    port, tls_port = free_port(), int(str(more.get("dicom_tls_port", 0)))
    settings = {
        "state_dir": folder / "state",
        "dicom_port": port,
        "min_free_bytes": 0,
        "broker_url": "redis://127.0.0.1:1/0",
    } | more
    sentinode(settings, "db", "upgrade")
    log = folder / "receiver.log"
    with running_role(settings, "receive", log=log, ready_text="receiver listens") as process:
        found = psutil.Process(process.pid)
        yield RunningReceiver(port, tls_port, folder / "state", log, found)


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return ""


def wait_until(met: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll until `met` returns something true. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not (found := met()):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)
    return found
