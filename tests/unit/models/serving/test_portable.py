"""The files that the project ships: can every runtime that is served on read them?"""

from __future__ import annotations

from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: extra `train`")
pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.export import IR_VERSION, OPSET  # noqa: E402
from models.mask_rcnn.export import PORTABLE_OPERATORS, open_sizes  # noqa: E402
from models.registry import MODELS  # noqa: E402

REPOSITORY = Path(__file__).parents[4] / "model_repository"

# In the table of onnx-tensorrt since 8.2, too; no Mask R-CNN has it.
ROUND = "Round"


@pytest.mark.parametrize("name", sorted(MODELS))
def test_operators_are_those_of_tensorrt_8_2(name: str) -> None:
    """Opset 13, no other domain, an IR that ONNX Runtime 1.10 reads, and only listed operators."""
    model = onnx.load(str(REPOSITORY / name / "1" / "model.onnx"))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert model.ir_version <= IR_VERSION
    assert {node.op_type for node in model.graph.node} <= PORTABLE_OPERATORS | {ROUND}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_outputs_are_padded_to_sizes_in_the_file(name: str) -> None:
    """Only the batch is open."""
    graph = onnx.load(str(REPOSITORY / name / "1" / "model.onnx")).graph
    spec = {tensor.name: tensor.shape for tensor in MODELS[name].spec.outputs}
    shapes = {
        info.name: tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)[1:]
        for info in graph.output
    }
    assert shapes == spec


@pytest.mark.parametrize("name", sorted(MODELS))
def test_sizes_within_the_graph_stand_in_the_file(name: str) -> None:
    """TensorRT before 8.6 (JetPack 4 and 5) takes no K and no range that the data decide."""
    assert open_sizes(onnx.load(str(REPOSITORY / name / "1" / "model.onnx"))) == []
