"""The whole node with every real part around it; each part can be stopped and started again."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from stack.process import stop
from stack.served import Triton
from tests.peers.node import running_role, sentinode
from tests.peers.orthanc import Orthanc, running_orthanc
from tests.peers.ports import free_port
from tests.peers.redis import RedisServer, running_redis
from tests.peers.triton import running_triton

_DESTINATION = """destinations:
  - name: orthanc
    protocol: {protocol}
    url: {orthanc.dicomweb_url}
    ae_title: {orthanc.ae_title}
    host: 127.0.0.1
    port: {orthanc.dicom_port}
    kinds: [SEG, SR]
    confirm: {confirm}
"""


class Whole:
    """Orthanc, Redis and Triton as peers; receiver, sweeper and two workers as processes."""

    def __init__(self, folder: Path, parts: ExitStack, cpu_threads: int = 0) -> None:
        self.folder, self._parts = folder, parts
        self._stops: dict[str, AbstractContextManager[Any]] = {}
        self.processes: dict[str, Any] = {}
        self._replacements: dict[str, subprocess.Popen[bytes]] = {}
        self.redis: RedisServer = self._peer(running_redis())
        self.triton: Triton = self._peer(running_triton(cpu_threads=cpu_threads))
        self.orthanc: Orthanc = self._peer(running_orthanc())
        self.settings: dict[str, object] = {
            "state_dir": folder / "state",
            "dicom_port": free_port(),
            "min_free_bytes": 0,
            "broker_url": self.redis.url,
            "triton_url": self.triton.url,
            "destinations": folder / "destinations.yaml",
            "study_quiet_seconds": 2,
            "study_ready_seconds": 1,
            "sweep_seconds": 0.2,
            "lease_seconds": 5,
            "ring_seconds": 2,
            "retry_seconds": 1,
            "retry_max_seconds": 4,
            "crash_limit": 50,
            "triton_timeout_seconds": 20,
        }
        self.deliver_by("stow", "qido")
        sentinode(self.settings, "db", "upgrade")

    def _peer(self, peer: AbstractContextManager[Any]) -> Any:
        return self._parts.enter_context(peer)

    def deliver_by(self, protocol: str, confirm: str) -> None:
        """Write the destination; workers read it when they start."""
        text = _DESTINATION.format(protocol=protocol, confirm=confirm, orthanc=self.orthanc)
        (self.folder / "destinations.yaml").write_text(text)

    def start(self, *names: str) -> None:
        """Start processes by name: receive, sweep, analysis, delivery."""
        for name in names:
            queue = ("worker", "--queue", f"leased.{name}")
            arguments = (name,) if name in ("receive", "sweep") else queue
            ready = {"receive": "receiver listens"}.get(name, "")
            role = running_role(
                self.settings, *arguments, log=self.folder / f"{name}.log", ready_text=ready
            )
            self.processes[name] = role.__enter__()
            self._stops[name] = role

    def kill(self, *names: str) -> None:
        """kill -9, the whole process group of a worker included."""
        for name in names:
            _kill_tree(self.processes[name].pid)
            self._stops.pop(name).__exit__(None, None, None)

    def stop_all(self) -> None:
        """End every process in an orderly way."""
        for name in list(self._stops):
            self._stops.pop(name).__exit__(None, None, None)

    @contextmanager
    def without(self, part: str, seconds: float) -> Iterator[None]:
        """End Triton or Orthanc for the block and `seconds` more, then start it as it was."""
        process = getattr(self, part).process
        again = self._replacements.get(part, process)
        argv, environment = psutil.Process(again.pid).cmdline(), psutil.Process(again.pid).environ()
        stop(again)
        yield
        time.sleep(seconds)
        new = subprocess.Popen(
            argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        self._replacements[part] = new
        self._parts.callback(stop, new)

    def send(self, folder: Path) -> str:
        """Send a folder of DICOM files to the node; returns the study's UID."""
        said = sentinode(self.settings, "send", str(folder))
        return said.split("study ")[1].split()[0]

    def status(self, study_uid: str, wait_seconds: float = 0.0) -> dict[str, Any]:
        """The status object of a study, after it ended or the time is up."""
        wait = ("--wait", str(wait_seconds))
        return dict(json.loads(sentinode(self.settings, "status", study_uid, "--json", *wait)))

    def wait_for(self, study_uid: str, met: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Poll the status until `met`; fails after two minutes."""
        deadline = time.monotonic() + 120
        while True:
            found = self.status(study_uid)
            if met(found):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.2)


@contextmanager
def running_whole(folder: Path, cpu_threads: int = 0) -> Iterator[Whole]:
    """Everything but the node's processes is running inside the block.

    `cpu_threads`: of each model in Triton, 0 for all cores.
    """
    with ExitStack() as parts:
        whole = Whole(folder, parts, cpu_threads)
        try:
            yield whole
        finally:
            whole.stop_all()


def _kill_tree(pid: int) -> None:
    family = psutil.Process(pid)
    for process in [*family.children(recursive=True), family]:
        process.kill()
