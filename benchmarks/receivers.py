"""The receivers side by side, each started empty in a folder of its own, with what it comes with.

In: a folder on the disk that all write to, and how many associations will come. Out: a running
receiver, its port, and the processes whose processor time counts. What differs from a receiver's
defaults is folders and ports, and what a label says.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.orthanc import write_configuration
from stack.process import running
from tests.peers import orthanc, postgresql
from tests.peers.node import running_role, sentinode
from tests.peers.ports import free_port, free_ports, listens

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running receiver. `pids`: the receiver first, then servers that work for it."""

    port: int
    ae_title: str
    pids: tuple[int, ...]


Start = Callable[[Path, int], AbstractContextManager[Receiver]]


@dataclass(frozen=True, slots=True)
class Variant:
    """One receiver of the comparison."""

    name: str
    label: str
    start: Start
    missing: Callable[[], str | None]


@contextmanager
def _sentinode(folder: Path, _: int) -> Iterator[Receiver]:
    with running_sentinode(folder / "state") as receiver:
        yield receiver


@contextmanager
def _sentinode_alone(folder: Path, _: int) -> Iterator[Receiver]:
    with running_sentinode(folder / "state", processes=1) as receiver:
        yield receiver


@contextmanager
def _sentinode_postgresql(folder: Path, _: int) -> Iterator[Receiver]:
    with (
        postgresql.running_postgresql((), folder) as server,
        running_sentinode(folder / "state", server.new_database()) as receiver,
    ):
        yield Receiver(receiver.port, receiver.ae_title, (*receiver.pids, server.process.pid))


@contextmanager
def running_sentinode(
    state_dir: Path, database_url: str = "", processes: int = 0
) -> Iterator[Receiver]:
    """Our receiver with its defaults on a migrated database; an empty URL is SQLite."""
    settings = {
        "state_dir": state_dir,
        "database_url": database_url,
        "dicom_port": free_port(),
        "dicom_processes": processes,
        "broker_url": "redis://127.0.0.1:1/0",  # the receiver publishes nothing
    }
    state_dir.mkdir(parents=True, exist_ok=True)
    sentinode(settings, "db", "upgrade")
    log = state_dir.parent / f"{state_dir.name}.log"
    with running_role(settings, "receive", log=log, ready_text="receiver listens") as process:
        yield Receiver(int(str(settings["dicom_port"])), "SENTINODE", (process.pid,))


@contextmanager
def _orthanc(folder: Path, _: int) -> Iterator[Receiver]:
    http_port, dicom_port = free_ports(2)
    configuration = write_configuration(folder, http_port, dicom_port)
    argv = [str(orthanc.program()), str(configuration)]
    with running(argv, folder / "log", lambda: orthanc.answers(http_port)) as process:
        yield Receiver(dicom_port, "ORTHANC", (process.pid,))


def _dcmtk(*options: str) -> Start:
    @contextmanager
    def start(folder: Path, associations: int) -> Iterator[Receiver]:
        port = free_port()
        # One process serves one association at a time.
        fork = ["--fork"] if associations > 1 else []
        argv = ["storescp", *fork, *options, "--output-directory", str(folder), str(port)]
        with running(argv, folder / "log", lambda: listens(port)) as process:
            yield Receiver(port, "STORESCP", (process.pid,))

    return start


def _module(name: str, *arguments: str) -> Start:
    @contextmanager
    def start(folder: Path, _: int) -> Iterator[Receiver]:
        port = free_port()
        named = [each.format(port=port, folder=folder) for each in arguments]
        argv = [sys.executable, "-m", name, *named]
        with running(argv, folder / "log", lambda: listens(port)) as process:
            yield Receiver(port, "STORESCP", (process.pid,))

    return start


def _needs(found: Callable[[], object], package: str) -> Callable[[], str | None]:
    return lambda: None if found() else f"not installed: apt-get install {package}"


def _nothing_missing() -> None:
    return None


_DCMTK = _needs(lambda: shutil.which("storescp"), "dcmtk")
_STORESCP_OPTIONS = ("storescp", "{port}", "--output-directory", "{folder}")

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("sentinode", "Sentinode, SQLite", _sentinode, _nothing_missing),
        Variant(
            "sentinode-alone", "Sentinode, SQLite, one process", _sentinode_alone, _nothing_missing
        ),
        Variant(
            "sentinode-postgresql",
            "Sentinode, PostgreSQL",
            _sentinode_postgresql,
            postgresql.missing,
        ),
        Variant(
            "orthanc", "Orthanc, Debian's defaults", _orthanc, _needs(orthanc.program, "orthanc")
        ),
        Variant("storescp", "DCMTK storescp", _dcmtk(), _DCMTK),
        Variant(
            "storescp+B",
            "DCMTK storescp +B --max-pdu 131072",
            _dcmtk("--bit-preserving", "--max-pdu", "131072"),
            _DCMTK,
        ),
        Variant(
            "pynetdicom",
            "pynetdicom storescp",
            _module("pynetdicom", *_STORESCP_OPTIONS),
            _nothing_missing,
        ),
        Variant(
            "sink", "nothing kept (ceiling)", _module("benchmarks.sink", "{port}"), _nothing_missing
        ),
    )
}
