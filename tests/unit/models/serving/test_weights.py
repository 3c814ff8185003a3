from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="onnx is not installed: extra `train`")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed: extra `embedded`"
)

from models.serving.weights import halve_weights  # noqa: E402


def graph(weights: NDArray[np.float32]) -> onnx.ModelProto:
    """y = x @ weights, opset 13."""
    helper, kinds = onnx.helper, onnx.TensorProto
    rows, columns = weights.shape
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "product",
            [helper.make_tensor_value_info("x", kinds.FLOAT, ["batch", rows])],
            [helper.make_tensor_value_info("y", kinds.FLOAT, ["batch", columns])],
            [onnx.numpy_helper.from_array(weights, "w")],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )


def product(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    result: NDArray[np.float32] = session.run(["y"], {"x": x})[0]
    return result


def test_half_the_bytes_and_single_precision() -> None:
    """The file halves, and the answer is exactly that of the rounded weights in float32."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(64, 512)).astype(np.float32)
    x = rng.normal(size=(3, 64)).astype(np.float32)
    halved = halve_weights(graph(weights))
    assert halved.ByteSize() < 0.52 * graph(weights).ByteSize()
    rounded = weights.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(product(halved, x), product(graph(rounded), x))


def test_small_tensors_stay() -> None:
    """A bias of a few values is not worth a cast."""
    halved = halve_weights(graph(np.ones((4, 4), np.float32)))
    assert [node.op_type for node in halved.graph.node] == ["MatMul"]


def test_constants_that_are_no_weights_stay_exact() -> None:
    """Coordinates beyond 512 px would be rounded to halves of a pixel."""
    anchors = np.full((1, 512), 1000.3, np.float32)
    model = graph(np.ones((64, 512), np.float32))
    model.graph.initializer.append(onnx.numpy_helper.from_array(anchors, "anchors"))
    model.graph.node[0].output[0] = "moved"
    model.graph.node.append(onnx.helper.make_node("Add", ["moved", "anchors"], ["y"]))
    found = product(halve_weights(model), np.zeros((1, 64), np.float32))
    np.testing.assert_array_equal(found, anchors)


def test_a_weight_that_is_stored_once_and_used_through_an_identity_is_halved() -> None:
    """As tracing leaves layers that share their weights."""
    model = graph(np.ones((64, 512), np.float32))
    model.graph.initializer[0].name = "stored"
    model.graph.node.insert(0, onnx.helper.make_node("Identity", ["stored"], ["w"]))
    assert halve_weights(model).ByteSize() < 0.52 * model.ByteSize()


@pytest.mark.parametrize("value", [np.nan, np.inf, 70000.0])
def test_diverged_weights_are_refused(value: float) -> None:
    """What half precision cannot hold raises ValueError instead of becoming infinite."""
    weights = np.ones((32, 32), np.float32)
    weights[3, 4] = value
    with pytest.raises(ValueError, match="does not fit"):
        halve_weights(graph(weights))
