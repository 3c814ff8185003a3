"""From a trained torch module to the ONNX file that every runtime we serve on can read.

In: a module that takes and returns the tensors of a `ModelSpec`. Out: an ONNX file with a dynamic
batch axis and static sizes. What must hold: opset 13 and IR 8 at most, so that ONNX Runtime 1.10
(JetPack 4.6) still loads it, and the same answers as the module. Torch is imported here.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from models import repository
from models.contract import ModelSpec, TensorSpec

OPSET = 13
IR_VERSION = 8

_DTYPES = {"FP32": torch.float32, "INT32": torch.int32, "UINT8": torch.uint8}


def publish(module: nn.Module, spec: ModelSpec, root: Path, tolerance: float) -> Path:
    """Write `root/<name>` from a module in memory; returns the model's folder.

    Raises ValueError where ONNX Runtime differs from torch by more than `tolerance`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.onnx"
        to_onnx(module, spec, path)
        difference = largest_difference(module, spec, path)
        if difference > tolerance:
            raise ValueError(f"ONNX Runtime differs from torch by {difference}")
        parity = {"largest_difference": difference, "tolerance": tolerance}
        return repository.write(spec, path, root, parity=parity)


def to_onnx(module: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Export `module` (inputs and outputs in the spec's order) to `path`."""
    module = module.cpu().eval()
    names = [tensor.name for tensor in (*spec.inputs, *spec.outputs)]
    with warnings.catch_warnings():
        # The only exporter that writes opset 13; the newer one silently writes 18.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Sizes are static here, so what tracing turns into constants is constant.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        torch.onnx.export(
            module,
            tuple(_example(tensor, batch=1, seed=0) for tensor in spec.inputs),
            str(path),
            input_names=[tensor.name for tensor in spec.inputs],
            output_names=[tensor.name for tensor in spec.outputs],
            dynamic_axes={name: {0: "batch"} for name in names},
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
    _tidy(spec, path)


def largest_difference(module: nn.Module, spec: ModelSpec, path: Path, batch: int = 2) -> float:
    """Largest absolute difference between module and ONNX Runtime on noise, over all outputs."""
    module = module.cpu().eval()
    inputs = [_example(tensor, batch, seed=1) for tensor in spec.inputs]
    with torch.inference_mode():
        found = module(*inputs)
    expected = [found] if isinstance(found, torch.Tensor) else list(found)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {tensor.name: value.numpy() for tensor, value in zip(spec.inputs, inputs, strict=True)}
    actual = session.run([tensor.name for tensor in spec.outputs], feed)
    return max(
        float(np.abs(a.astype(np.float64) - e.numpy().astype(np.float64)).max())
        for a, e in zip(actual, expected, strict=True)
    )


def _example(tensor: TensorSpec, batch: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, *tensor.shape)
    if tensor.datatype == "FP32":
        return torch.rand(shape, generator=generator)
    return torch.randint(0, 256, shape, generator=generator).to(_DTYPES[tensor.datatype])


def _tidy(spec: ModelSpec, path: Path) -> None:
    """Write the spec's static output sizes, which tracing loses, and an IR old runtimes accept."""
    model = onnx.load(str(path))
    model.ir_version = min(model.ir_version, IR_VERSION)
    for info, tensor in zip(model.graph.output, spec.outputs, strict=True):
        dims = info.type.tensor_type.shape.dim
        for dim, size in zip(list(dims)[1:], tensor.shape, strict=True):
            dim.dim_value = size
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
