from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")
onnx = pytest.importorskip("onnx", reason="onnx is not installed: extra `train`")

from models import repository  # noqa: E402
from models.contract import TensorSpec  # noqa: E402
from models.evaluation.local import LocalServer, NotExportedError  # noqa: E402
from models.export import largest_difference, to_onnx  # noqa: E402
from models.mtu_net.network import MTUNet, ServedMTUNet  # noqa: E402
from models.mtu_net.spec import SPEC  # noqa: E402
from models.registry import MODELS  # noqa: E402
from models.serving import runner_path  # noqa: E402

REPOSITORY = Path(__file__).parents[3] / "model_repository"


@pytest.fixture(scope="module")
def module() -> torch.nn.Module:
    torch.manual_seed(0)
    return ServedMTUNet(MTUNet()).eval()


@pytest.fixture(scope="module")
def onnx_path(module: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    to_onnx(module, SPEC, path)
    return path


def test_onnx_answers_as_torch_does(module: torch.nn.Module, onnx_path: Path) -> None:
    """ONNX Runtime and torch agree to one step of rounding, at another batch than traced."""
    assert largest_difference(module, SPEC, onnx_path, batch=3) <= 1.0


def test_old_runtimes_can_read_it(onnx_path: Path) -> None:
    """Opset 13 and IR 8 at most: what ONNX Runtime 1.10 of JetPack 4.6 accepts."""
    model = onnx.load(str(onnx_path))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    assert model.ir_version <= 8


def test_a_written_model_is_complete_and_runs(onnx_path: Path, tmp_path: Path) -> None:
    """Configuration, overlays, runner and half-size weights are there, and the weights run."""
    folder = repository.write(SPEC, onnx_path, tmp_path)
    weights = (folder / "1" / "model.onnx").read_bytes()
    assert len(weights) < 0.55 * onnx_path.stat().st_size
    assert hashlib.sha256(weights).hexdigest() in (folder / "config.pbtxt").read_text()
    assert (folder / "1" / "model.py").read_bytes() == runner_path().read_bytes()
    assert {path.stem for path in (folder / "configs").iterdir()} == {"cpu", "ortcuda", "trt"}
    tiles = np.zeros((SPEC.max_batch_size + 1, *SPEC.inputs[0].shape), np.uint8)
    outputs, version = LocalServer(tmp_path).infer(SPEC, {"tiles": tiles})
    assert outputs["probabilities"].shape == (len(tiles), *SPEC.outputs[0].shape)
    assert version == "1"


def test_writing_again_replaces(onnx_path: Path, tmp_path: Path) -> None:
    """A second export leaves one version and no leftovers."""
    repository.write(SPEC, onnx_path, tmp_path)
    folder = repository.write(SPEC, onnx_path, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["1", "config.pbtxt", "configs"]


def test_another_spec_is_refused(onnx_path: Path, tmp_path: Path) -> None:
    """An ONNX file with other tensors than the spec's is not published."""
    other = replace(SPEC, inputs=(TensorSpec("tiles", "UINT8", (1, 128, 128)),))
    with pytest.raises(ValueError, match="the spec says"):
        repository.write(other, onnx_path, tmp_path)
    assert not (tmp_path / SPEC.name).exists()


def test_an_outdated_export_is_not_evaluated(onnx_path: Path, tmp_path: Path) -> None:
    """A model exported for another preprocessing is refused, and so is an absent one."""
    repository.write(SPEC, onnx_path, tmp_path)
    changed = replace(SPEC, preprocessing={**SPEC.preprocessing, "tile_px": 1})
    server, tiles = LocalServer(tmp_path), {"tiles": np.zeros((1, 1, 256, 256), np.uint8)}
    for spec in (changed, replace(SPEC, name="absent")):
        with pytest.raises(NotExportedError):
            server.infer(spec, tiles)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_only_weights_of_the_repository_are_halves(name: str) -> None:
    """Anchors and grids are coordinates; half precision would move them by up to half a pixel."""
    graph = onnx.load(str(REPOSITORY / name / "1" / "model.onnx")).graph
    halves = {item.name for item in graph.initializer if item.data_type == onnx.TensorProto.FLOAT16}
    casts = {node.output[0] for node in graph.node if node.input and node.input[0] in halves}
    casts |= {
        node.output[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input[0] in casts
    }
    assert halves
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul", "Identity"):
            assert not casts & set(node.input), node.name
