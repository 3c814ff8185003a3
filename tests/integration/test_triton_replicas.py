"""Two real Tritons behind one setting, one of which dies and comes back."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import httpx
import numpy as np
import pytest

from models.mtu_net.spec import SPEC
from node.errors import ModelUnavailableError
from stack.served import Triton
from tests.peers.ports import free_ports
from tests.peers.triton import REPOSITORY, running_triton
from workers.triton import balanced
from workers.triton.balanced import BalancedClient

if find_spec("pytriton") is None:
    pytest.skip("nvidia-pytriton is not installed: extra `embedded`", allow_module_level=True)

TILES = {"tiles": np.zeros((1, *SPEC.inputs[0].shape), np.uint8)}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with one small model."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(REPOSITORY / SPEC.name, folder / SPEC.name)
    return folder


@pytest.fixture
def first(repository: Path) -> Iterator[Triton]:
    """Return a replica that lives as long as the test."""
    with running_triton(repository=repository, cpu_threads=1) as server:
        yield server


def _requests(server: Triton) -> int:
    """How many inferences a server has answered, by its own count."""
    text = httpx.get(f"http://127.0.0.1:{server.metrics_port}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("nv_inference_request_success{")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


def test_requests_go_round_and_past_a_dead_replica(
    first: Triton, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both answer in turn; one is killed and nothing fails; it is back and answers again."""
    monkeypatch.setattr(balanced, "_REST_SECONDS", 1.0)
    ports = free_ports(3)
    with ExitStack() as lives:
        second = lives.enter_context(running_triton(ports, repository, cpu_threads=1))
        client = BalancedClient(f"{first.url},{second.url}", timeout_seconds=20)
        before = _requests(first), _requests(second)
        for _ in range(6):
            client.infer(SPEC, TILES)
        assert (_requests(first) - before[0], _requests(second) - before[1]) == (3, 3)

        os.kill(second.process.pid, signal.SIGKILL)
        for _ in range(4):
            client.infer(SPEC, TILES)
        assert _requests(first) - before[0] == 7

    with running_triton(ports, repository, cpu_threads=1) as again:
        before_again = _requests(again)
        for _ in range(40):
            client.infer(SPEC, TILES)
            if _requests(again) > before_again:
                break
        else:
            pytest.fail("the replica that came back was never asked")
    client.close()


def test_no_replica_is_a_transient_failure(first: Triton) -> None:
    """With all of them away the job waits, as with one."""
    url = first.url
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    client = BalancedClient(f"{url},127.0.0.1:1", timeout_seconds=2)
    with pytest.raises(ModelUnavailableError):
        client.infer(SPEC, TILES)
    client.close()
