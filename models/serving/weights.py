"""ONNX weights stored in half the bytes, computed in single precision.

In: an ONNX graph with float32 initialisers. Out: the same graph, its large weights float16, each
followed by a Cast to float32. ONNX Runtime folds the casts while it loads, so the file and the
repository shrink by half and no kernel runs in half precision. What must hold: the inputs, outputs,
opset and operators stay, apart from the casts (opset 13, readable by ONNX Runtime 1.10 onwards);
constants that are no weights stay exact: half precision would move an anchor at 1000 px by 1/4.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# Below this many values a Cast node costs more than the bytes it saves.
MIN_VALUES = 256

HALF_SUFFIX = "_half"

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` with float16 initialisers.

    Raises ValueError where a weight is not finite or leaves float16's range (65504): such a model
    has diverged.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    graph = halved.graph
    casts = []
    weights = _weights_of(graph)
    for tensor in graph.initializer:
        values, name = numpy_helper.to_array(tensor), tensor.name
        if name not in weights or values.dtype != np.float32 or values.size < MIN_VALUES:
            continue
        tensor.CopyFrom(numpy_helper.from_array(_as_half(values, name), name + HALF_SUFFIX))
        casts.append(
            helper.make_node(
                "Cast", [name + HALF_SUFFIX], [name], name=name + "_cast", to=TensorProto.FLOAT
            )
        )
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(halved)
    return halved


def _weights_of(graph: onnx.GraphProto) -> set[str]:
    """Names that a layer multiplies with or adds; equal ones reach it through an Identity."""
    names = {name for node in graph.node if node.op_type in _WEIGHTED for name in node.input}
    for node in graph.node:
        if node.op_type == "Identity" and node.output[0] in names:
            names.add(node.input[0])
    return names


def _as_half(values: NDArray[np.float32], name: str) -> NDArray[np.float16]:
    """float32 values rounded to float16, same shape."""
    limit = float(np.finfo(np.float16).max)
    if not np.isfinite(values).all() or float(np.abs(values).max(initial=0.0)) > limit:
        raise ValueError(f"weight {name} does not fit float16: not finite or beyond {limit}")
    return values.astype(np.float16)
