"""The real Triton server of the wheel, our repository in it, our client before it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from models.contract import TensorSpec
from models.mtu_net.spec import SPEC
from models.resnet50.spec import SPEC as BROKEN_SPEC
from models.serving.configuration import render
from node.errors import ModelMismatchError, ModelRefusedError, ModelUnavailableError
from stack.served import served as serving
from workers.triton.client import TritonClient
from workers.triton.contract import check_model

if find_spec("pytriton") is None:
    pytest.skip("nvidia-pytriton is not installed: extra `embedded`", allow_module_level=True)

_COMMITTED = Path(__file__).resolve().parents[2] / "model_repository"


@dataclass(frozen=True)
class Served:
    """A running server with MTU-Net in it, and a ResNet50 whose file was cut off."""

    client: TritonClient
    onnx: Path
    pid: int
    metrics_port: int


def _write_mtu_net(root: Path) -> None:
    """An untrained network where torch is installed, else the one that the project ships."""
    if find_spec("torch") is None:
        if not (_COMMITTED / SPEC.name).is_dir():
            pytest.skip("no torch and no model_repository/mtu_net: extra `train`, or make models")
        shutil.copytree(_COMMITTED / SPEC.name, root / SPEC.name)
        return
    import torch  # noqa: PLC0415 - only where it is installed

    from models.mtu_net.export import export_module  # noqa: PLC0415
    from models.mtu_net.network import MTUNet  # noqa: PLC0415

    torch.manual_seed(0)
    export_module(MTUNet(), root)


def _write_broken(root: Path) -> None:
    """A model whose ONNX file is not the one that its configuration names."""
    folder = root / BROKEN_SPEC.name
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(render(BROKEN_SPEC, "00" * 32))
    (folder / "1" / "model.onnx").write_bytes(b"cut off")
    shutil.copyfile(root / SPEC.name / "1" / "model.py", folder / "1" / "model.py")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file."""
    folder = tmp_path_factory.mktemp("triton")
    repository = folder / "repository"
    _write_mtu_net(repository)
    _write_broken(repository)
    with serving(repository, cpu_threads=1, model=SPEC.name, start_seconds=60.0) as triton:
        client = TritonClient(triton.url, timeout_seconds=60.0)
        onnx = repository / SPEC.name / "1" / "model.onnx"
        yield Served(client, onnx, triton.process.pid, triton.metrics_port)
        client.close()


def _tiles(count: int, seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return {"tiles": rng.integers(0, 256, (count, *SPEC.inputs[0].shape), dtype=np.uint8)}


def test_the_served_model_is_the_one_we_wrote(served: Served) -> None:
    """Names, types, sizes, version and digest agree."""
    check_model(served.client, SPEC)


def test_answers_equal_onnx_runtime(served: Served) -> None:
    """More tiles than one batch holds: same order, same bytes as ONNX Runtime here."""
    tiles = _tiles(SPEC.max_batch_size + 3)
    outputs, version = served.client.infer(SPEC, tiles)
    session = onnxruntime.InferenceSession(str(served.onnx), providers=["CPUExecutionProvider"])
    expected = session.run(["probabilities"], tiles)[0].astype(int)
    assert version == "1"
    assert np.abs(outputs["probabilities"].astype(int) - expected).max() <= 1


def test_requests_of_several_clients_share_a_batch(served: Served) -> None:
    """Sixteen requests at once run in fewer executions, and each gets its own answer."""
    requests = [_tiles(1, seed) for seed in range(16)]
    alone = [served.client.infer(SPEC, request)[0]["probabilities"] for request in requests[:3]]
    before = _settled_counts(served.metrics_port)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda r: served.client.infer(SPEC, r)[0], requests))
    inferences, executions = (
        after - old for after, old in zip(_settled_counts(served.metrics_port), before, strict=True)
    )
    assert inferences == 16
    assert executions < 16
    for answer, expected in zip(answers, alone, strict=False):
        assert np.abs(answer["probabilities"].astype(int) - expected.astype(int)).max() <= 1


def test_a_proxy_of_the_environment_sees_no_image(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's client puts the site's proxy into containers; gRPC would send every image there."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    client = TritonClient(served.client.url, timeout_seconds=10.0)
    check_model(client, SPEC)
    assert client.infer(SPEC, _tiles(1))[0]["probabilities"].shape[0] == 1
    client.close()


def test_another_preprocessing_is_noticed(served: Served) -> None:
    """A worker whose preprocessing differs refuses the served model."""
    other = replace(SPEC, preprocessing={**SPEC.preprocessing, "tile_px": 255})
    with pytest.raises(ModelMismatchError, match="preprocessing_digest"):
        check_model(served.client, other)


def test_a_wrong_request_is_refused_for_good(served: Served) -> None:
    """A tensor of another size than Triton's is a permanent error."""
    other = replace(SPEC, inputs=(TensorSpec("tiles", "UINT8", (1, 128, 128)),))
    with pytest.raises(ModelRefusedError):
        served.client.infer(other, {"tiles": np.zeros((1, 1, 128, 128), np.uint8)})


def test_a_missing_or_broken_model_is_unavailable(served: Served) -> None:
    """An unknown model, and one whose file was cut off, stop nobody else."""
    for spec in (replace(SPEC, name="nobody"), BROKEN_SPEC):
        with pytest.raises(ModelUnavailableError):
            check_model(served.client, spec)
    served.client.infer(SPEC, _tiles(1))


def test_a_deadline_is_kept(served: Served) -> None:
    """An inference that takes longer than allowed ends in a transient error."""
    hasty = TritonClient(served.client.url, timeout_seconds=0.02)
    with pytest.raises(ModelUnavailableError):
        hasty.infer(SPEC, _tiles(SPEC.max_batch_size))
    hasty.close()


def test_a_killed_model_process_is_started_again(served: Served) -> None:
    """After kill -9 of the stub Triton never recovers by itself; the client loads it again.

    Twice: by the second time nothing in its folder has changed, not even Python's cache.
    """
    expected, _ = served.client.infer(SPEC, _tiles(2))
    for _ in range(2):
        os.kill(_stub_pid(served.pid), signal.SIGKILL)
        outputs, _ = served.client.infer(SPEC, _tiles(2))
        np.testing.assert_array_equal(outputs["probabilities"], expected["probabilities"])


def _settled_counts(metrics_port: int) -> tuple[int, int]:
    """The counts once they stand still: Triton counts an inference after it has answered."""
    counts = _counts(metrics_port)
    while True:
        time.sleep(0.5)
        earlier, counts = counts, _counts(metrics_port)
        if counts == earlier:
            return counts


def _counts(metrics_port: int) -> tuple[int, int]:
    """Inferences and executions of MTU-Net so far."""
    address = f"http://127.0.0.1:{metrics_port}/metrics"
    with urllib.request.urlopen(address, timeout=5) as answer:
        text = answer.read().decode()
    found = []
    for name in ("nv_inference_count", "nv_inference_exec_count"):
        match = re.search(rf'^{name}{{model="{SPEC.name}",[^}}]*}} (\d+)', text, re.MULTILINE)
        assert match
        found.append(int(match.group(1)))
    return found[0], found[1]


def _stub_pid(server_pid: int) -> int:
    listing = subprocess.run(
        ["ps", "-ww", "--ppid", str(server_pid), "-o", "pid=,args="],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (line,) = [line for line in listing.splitlines() if f"{SPEC.name}_0_0" in line]
    return int(line.split()[0])
