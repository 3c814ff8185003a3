"""A Triton whose model is another one than before: nobody tells the worker."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import numpy as np
import pytest
from click import Command
from click.testing import CliRunner, Result

from models.mtu_net.spec import SPEC
from node.cli import PluggedGroup
from node.errors import ModelMismatchError
from stack.served import Triton
from tests.peers.triton import REPOSITORY, running_triton
from workers.device import device
from workers.parity import parity
from workers.triton.balanced import BalancedClient

if find_spec("pytriton") is None:
    pytest.skip("nvidia-pytriton is not installed: extra `embedded`", allow_module_level=True)

TILES = {"tiles": np.zeros((1, *SPEC.inputs[0].shape), np.uint8)}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one small model."""
    shutil.copytree(REPOSITORY / SPEC.name, tmp_path / SPEC.name)
    return tmp_path


@pytest.fixture
def server(repository: Path) -> Iterator[Triton]:
    """Its server; it may end before the test."""
    with running_triton(repository=repository, cpu_threads=1) as server:
        yield server


def _write_another_version(repository: Path) -> None:
    """Configurations of a model that was exported with another preprocessing."""
    digest = SPEC.preprocessing_digest()
    for path in repository.rglob("*.pbtxt"):
        text = path.read_text()
        assert digest in text
        path.write_text(text.replace(digest, "00" * 32))


def test_another_server_at_the_same_address(server: Triton, repository: Path) -> None:
    """gRPC connects again by itself: between two images no request fails, and nothing is raised."""
    client = BalancedClient(server.url, timeout_seconds=60)
    client.infer(SPEC, TILES)
    server.process.terminate()
    server.process.wait()
    _write_another_version(repository)
    with (
        running_triton(server.ports, repository, cpu_threads=1),
        pytest.raises(ModelMismatchError, match="preprocessing_digest"),
    ):
        client.infer(SPEC, TILES)
    client.close()


def test_another_model_in_the_same_server(server: Triton, repository: Path) -> None:
    """A model engineer replaces the files and has Triton load them."""
    client = BalancedClient(server.url, timeout_seconds=60)
    client.infer(SPEC, TILES)
    _write_another_version(repository)
    url = f"http://127.0.0.1:{server.http_port}/v2/repository/models/{SPEC.name}/load"
    httpx.post(url, json={}, timeout=60, trust_env=False).raise_for_status()
    with pytest.raises(ModelMismatchError, match="preprocessing_digest"):
        client.infer(SPEC, TILES)
    client.close()


def test_a_network_that_overflows_is_told(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU in half precision may; the commands that look for it ended in a traceback."""
    backend = repository / SPEC.name / "1" / "model.py"
    run = "results = self.session.run(self.outputs, feed)"
    text = backend.read_text()
    assert run in text
    overflown = f"{run}\n        results = [0 * each for each in results]"
    backend.write_text(text.replace(run, overflown))
    with running_triton(repository=repository, cpu_threads=1) as server:
        monkeypatch.setenv("SENTINODE_TRITON_URL", server.url)
        monkeypatch.setenv("COLUMNS", "200")
        outcomes = [_said(device)]
        if find_spec("torch") is not None:  # what parity compares with
            outcomes.append(_said(parity, SPEC.name, "--images", "1"))
    for said in outcomes:
        assert said.exit_code == 1
        assert "the network overflowed; serve it in FP32" in said.output
        assert said.exception is None or isinstance(said.exception, SystemExit)


def _said(command: Command, *arguments: str) -> Result:
    group = PluggedGroup("none", commands={"command": command})
    return CliRunner().invoke(group, ["command", *arguments])
