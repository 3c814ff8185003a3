"""Write one model into the repository that Triton loads.

In: a spec and a float32 ONNX file. Out: `<root>/<name>/config.pbtxt`, `configs/<overlay>.pbtxt`,
`1/model.onnx` (float16 weights), `1/model.py` and `parity.json`. What must hold: the ONNX file's
inputs and outputs are the spec's, and Triton never sees half of a version: it appears by one
rename.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import onnx
from onnx import TensorProto

from models.contract import ModelSpec, TensorSpec
from models.serving import runner_path
from models.serving.configuration import ONNX_FILE, OVERLAYS, render
from models.serving.weights import halve_weights

PARITY_FILE = "parity.json"

_DATATYPES: dict[int, Literal["FP32", "INT32", "UINT8"]] = {
    int(TensorProto.FLOAT): "FP32",
    int(TensorProto.INT32): "INT32",
    int(TensorProto.UINT8): "UINT8",
}


def write(
    spec: ModelSpec,
    onnx_path: Path,
    root: Path,
    version: int = 1,
    parity: Mapping[str, float | None] | None = None,
) -> Path:
    """Write `root/<spec.name>` and return it; a version of the same number is replaced.

    `parity`: how far ONNX Runtime was from torch when this was exported, kept in parity.json.

    Raises ValueError where the ONNX file is not what the spec says.
    """
    model = onnx.load(str(onnx_path))
    _refuse_other_tensors(spec.inputs, model.graph.input)
    _refuse_other_tensors(spec.outputs, model.graph.output)
    weights = halve_weights(model).SerializeToString()
    folder = root / spec.name
    folder.mkdir(parents=True, exist_ok=True)
    _publish_version(folder / str(version), weights)
    digest = hashlib.sha256(weights).hexdigest()
    _write_configurations(spec, folder, digest)
    if parity is not None:
        _write_parity(spec, folder, digest, parity)
    return folder


def _write_parity(
    spec: ModelSpec, folder: Path, onnx_sha256: str, parity: Mapping[str, float | None]
) -> None:
    """Measured before weights were stored in half the bytes; `models parity` measures after it."""
    facts = {"onnx_sha256": onnx_sha256, "spec_version": spec.version, "export": dict(parity)}
    (folder / PARITY_FILE).write_text(json.dumps(facts, indent=2) + "\n")


def _publish_version(target: Path, weights: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".version-") as temporary:
        draft = Path(temporary) / "new"
        draft.mkdir(mode=0o755)
        (draft / ONNX_FILE).write_bytes(weights)
        shutil.copyfile(runner_path(), draft / "model.py")
        if target.exists():
            target.rename(Path(temporary) / "old")
        draft.rename(target)


def _write_configurations(spec: ModelSpec, folder: Path, onnx_sha256: str) -> None:
    overlays = folder / "configs"
    overlays.mkdir(exist_ok=True)
    for overlay in OVERLAYS:
        (overlays / f"{overlay}.pbtxt").write_text(render(spec, onnx_sha256, overlay))
    (folder / "config.pbtxt").write_text(render(spec, onnx_sha256))


def _refuse_other_tensors(
    expected: tuple[TensorSpec, ...], found: Iterable[onnx.ValueInfoProto]
) -> None:
    """Raise ValueError unless the graph's tensors are the spec's, the batch axis being dynamic."""
    actual = tuple(_tensor_spec(info) for info in found)
    if actual != expected:
        raise ValueError(f"the ONNX file has {actual}, the spec says {expected}")


def _tensor_spec(info: onnx.ValueInfoProto) -> TensorSpec:
    kind = info.type.tensor_type
    batch, *dims = kind.shape.dim
    if not batch.dim_param:
        raise ValueError(f"tensor {info.name} has a fixed batch of {batch.dim_value}")
    datatype = _DATATYPES.get(kind.elem_type)
    if datatype is None:
        raise ValueError(f"tensor {info.name} has ONNX type {kind.elem_type}")
    return TensorSpec(info.name, datatype, tuple(dim.dim_value for dim in dims))
