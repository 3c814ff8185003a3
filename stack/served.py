"""Triton for the length of a block: what reports ask, without a stack around it.

In: a model repository. Out: the gRPC address of the real server of the `nvidia-pytriton` wheel.
What must hold: it ends with the block, whatever happens in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from node.errors import ConfigurationError
from stack.triton import link_python_backend, tritonserver_command

# Every model runs one batch before READY; two shared cores take a minute for all four.
START_SECONDS = 300.0
_STOP_SECONDS = 20.0

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # prctl(2)


@contextmanager
def served(repository: Path, cpu_threads: int = 0) -> Iterator[str]:
    """Serve every model of `repository`. Raises ConfigurationError where Triton does not start."""
    with tempfile.TemporaryDirectory(prefix="sentinode-triton-") as name:
        folder = Path(name)
        backends = link_python_backend(folder / "backends")
        http, grpc, metrics = _free_ports(3)
        argv, environment = tritonserver_command(
            repository, backends, http, grpc, metrics, cpu_threads=cpu_threads
        )
        process = _started(argv, environment, http, folder / "triton.log")
        try:
            yield f"127.0.0.1:{grpc}"
        finally:
            _stop(process)


def _started(
    argv: list[str], environment: dict[str, str], port: int, log: Path
) -> subprocess.Popen[bytes]:
    """A ready server. What dies while it starts is started once more: Triton 2.51 was seen to
    abort when another server on the same machine started at the same moment.
    """
    failure = ConfigurationError("Triton was not started")
    for _ in range(2):
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv,
                stdout=output,
                stderr=output,
                env=environment,
                preexec_fn=_die_with_parent,  # one system call, no Python locks
            )
        try:
            _await_ready(process, port, log)
        except ConfigurationError as error:
            failure = error
            _stop(process)
        else:
            return process
    raise failure


def _die_with_parent() -> None:
    """A killed command must leave no server behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/v2/health/ready", trust_env=False).is_success:
                return
        time.sleep(0.2)
    said = log.read_text(errors="replace")[-1000:]
    raise ConfigurationError(f"Triton did not start (exit {process.poll()}): {said}")


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(contextlib.closing(socket.socket())) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
