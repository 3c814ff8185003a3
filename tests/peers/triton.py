"""The real Triton server of the wheel, on free ports, serving the project's own models."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx

from stack.triton import link_python_backend, tritonserver_command
from tests.peers.ports import free_ports
from tests.peers.server import PeerNotStartedError, running

Start = Callable[[], AbstractContextManager[Popen[bytes]]]
REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"


@dataclass(frozen=True)
class Triton:
    """A running Triton."""

    process: Popen[bytes]
    http_port: int
    grpc_port: int
    metrics_port: int

    @property
    def url(self) -> str:
        """gRPC address."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def ports(self) -> tuple[int, int, int]:
        """HTTP, gRPC and metrics, to start again where it was."""
        return self.http_port, self.grpc_port, self.metrics_port


@contextmanager
def running_triton(
    ports: tuple[int, int, int] | None = None,
    repository: Path = REPOSITORY,
    cpu_threads: int = 0,
) -> Iterator[Triton]:
    """Run Triton until the block ends; entered once every model is ready.

    `cpu_threads`: of each model, 0 for all cores.
    """
    chosen = ports or free_ports(3)
    with tempfile.TemporaryDirectory(prefix="sentinode-triton-") as name:
        folder = Path(name)
        backends = link_python_backend(folder / "backends")
        argv, environment = tritonserver_command(
            repository, backends, chosen[0], chosen[1], chosen[2], cpu_threads=cpu_threads
        )

        def ready() -> bool:
            try:
                answer = httpx.get(f"http://127.0.0.1:{chosen[0]}/v2/health/ready", trust_env=False)
            except httpx.TransportError:
                return False
            return answer.status_code == 200

        log = folder / "triton.log"
        with supervised(lambda: running(argv, log, ready, environment=environment)) as process:
            yield Triton(process, *chosen)


@contextmanager
def supervised(start: Start) -> Iterator[Popen[bytes]]:
    """Start again what dies while it starts, as every supervisor of a server does.

    Triton 2.51 was seen once to abort there with boost::interprocess::lock_exception, when another
    server on the same machine started at the same moment.
    """
    with ExitStack() as stack:
        try:
            process = stack.enter_context(start())
        except PeerNotStartedError:
            process = stack.enter_context(start())
        yield process
