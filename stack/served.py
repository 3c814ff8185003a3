"""Triton for the length of a block: what reports and tests ask, without a stack around it.

In: a model repository. Out: the real server of the `nvidia-pytriton` wheel. What must hold: it ends
with the block, whatever happens in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx

from stack.ports import free_ports
from stack.process import NotStartedError, running
from stack.triton import link_python_backend, remove_regions, tritonserver_command

# Every model runs one batch before READY; two shared cores take a minute for all four.
START_SECONDS = 300.0
_STOP_SECONDS = 20.0


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
def served(
    repository: Path,
    cpu_threads: int = 0,
    ports: tuple[int, int, int] | None = None,
    model: str = "",
    start_seconds: float = START_SECONDS,
) -> Iterator[Triton]:
    """Serve `repository` until the block ends; entered once every model, or `model`, is ready.

    `cpu_threads`: of each model, 0 for all cores. `ports`: HTTP, gRPC and metrics. Raises
    NotStartedError, or FileNotFoundError where the wheel is absent.
    """
    http, grpc, metrics = ports or free_ports(3)
    with tempfile.TemporaryDirectory(prefix="sentinode-triton-") as name:
        folder = Path(name)
        backends = link_python_backend(folder / "backends")
        argv, environment = tritonserver_command(
            repository, backends, http, grpc, metrics, cpu_threads=cpu_threads
        )
        path = f"models/{model}/ready" if model else "health/ready"

        def ready() -> bool:
            return _answers(f"http://127.0.0.1:{http}/v2/{path}")

        log = folder / "triton.log"
        try:
            with _started(argv, environment, log, ready, start_seconds) as process:
                yield Triton(process, http, grpc, metrics)
        finally:
            remove_regions(grpc)


@contextmanager
def _started(
    argv: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    ready: Callable[[], bool],
    start_seconds: float,
) -> Iterator[Popen[bytes]]:
    """What dies while it starts is started once more, as every supervisor of a server does.

    Triton 2.51 was seen to abort there with boost::interprocess::lock_exception, when another
    server on the same machine started at the same moment.
    """

    def start() -> Popen[bytes]:
        return life.enter_context(
            running(
                argv,
                log,
                ready,
                environment=environment,
                start_seconds=start_seconds,
                stop_seconds=_STOP_SECONDS,
            )
        )

    with ExitStack() as life:
        try:
            process = start()
        except NotStartedError:
            process = start()
        yield process


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False).is_success
    except httpx.TransportError:
        return False
