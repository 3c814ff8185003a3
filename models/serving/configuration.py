"""Triton's `config.pbtxt` and its overlays, from one `ModelSpec`.

In: a spec and the facts about its ONNX file. Out: protobuf text (ModelConfig, Triton 2.19 to 2.6x).
What must hold: tensor names, types, dims and `max_batch_size` are the same in every overlay, so a
worker meets one contract on every machine; only the backend differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from models.contract import ModelSpec, TensorSpec

Overlay = Literal["cpu", "ortcuda", "trt"]
OVERLAYS: tuple[Overlay, ...] = ("cpu", "ortcuda", "trt")

ONNX_FILE = "model.onnx"

# A lone request pays the whole delay, so it stays far below one inference; 2 ms still lets the
# images of one study, sent by several worker processes, meet in one batch.
QUEUE_DELAY_MICROSECONDS = 2000
# Beyond this many waiting requests Triton answers UNAVAILABLE: the job waits in the queue of the
# workers, where it is durable, and not in Triton's memory.
MAX_QUEUE_SIZE = 64

_ENGINE_CACHE_DIR = "/var/cache/sentinode/tensorrt"


def served_parameters(spec: ModelSpec, onnx_sha256: str) -> dict[str, str]:
    """What the configuration tells of the model; `workers.triton.contract` compares it."""
    return {
        "onnx": ONNX_FILE,
        "spec_version": spec.version,
        "preprocessing_digest": spec.preprocessing_digest(),
        "sha256": onnx_sha256,
    }


def render(spec: ModelSpec, onnx_sha256: str, overlay: Overlay = "cpu") -> str:
    """The text of `config.pbtxt` (overlay cpu) or of `configs/<overlay>.pbtxt`."""
    blocks = [
        f'name: "{spec.name}"',
        _BACKENDS[overlay],
        f"max_batch_size: {spec.max_batch_size}",
        _tensors("input", spec.inputs),
        _tensors("output", spec.outputs),
        _BATCHING,
        _INSTANCES[overlay],
        "version_policy { latest { num_versions: 1 } }",
        _warmup(spec.inputs),
        _parameters(served_parameters(spec, onnx_sha256)),
    ]
    return "\n".join(blocks) + "\n"


_BACKENDS: dict[Overlay, str] = {
    "cpu": 'backend: "python"',
    "ortcuda": 'backend: "onnxruntime"',
    "trt": 'backend: "onnxruntime"',
}

_BATCHING = f"""dynamic_batching {{
  max_queue_delay_microseconds: {QUEUE_DELAY_MICROSECONDS}
  default_queue_policy {{ max_queue_size: {MAX_QUEUE_SIZE} }}
}}"""

# One instance: a second one would only compete with the first for the same cores or the same GPU.
_INSTANCES: dict[Overlay, str] = {
    "cpu": "instance_group [ { kind: KIND_CPU count: 1 } ]",
    "ortcuda": "instance_group [ { kind: KIND_GPU count: 1 } ]",
    # FP32: box decoding and index arithmetic lose whole pixels in half precision. The engine is
    # built once per device by the TensorRT execution provider and kept in the cache.
    "trt": f"""instance_group [ {{ kind: KIND_GPU count: 1 }} ]
optimization {{ execution_accelerators {{ gpu_execution_accelerator [ {{
  name: "tensorrt"
  parameters {{ key: "precision_mode" value: "FP32" }}
  parameters {{ key: "trt_engine_cache_enable" value: "true" }}
  parameters {{ key: "trt_engine_cache_path" value: "{_ENGINE_CACHE_DIR}" }}
}} ] }} }}""",
}


def _tensors(block: str, tensors: Sequence[TensorSpec]) -> str:
    return "\n".join(
        f'{block} [ {{ name: "{tensor.name}" data_type: TYPE_{tensor.datatype} '
        f"dims: {_dims(tensor)} }} ]"
        for tensor in tensors
    )


def _warmup(inputs: Sequence[TensorSpec]) -> str:
    """One batch of zeros before READY: the first patient does not pay for lazy allocation."""
    samples = "\n".join(
        f'  inputs {{ key: "{tensor.name}" value {{ data_type: TYPE_{tensor.datatype} '
        f"dims: {_dims(tensor)} zero_data: true }} }}"
        for tensor in inputs
    )
    return f'model_warmup [ {{\n  name: "zeros"\n  batch_size: 1\n{samples}\n}} ]'


def _parameters(values: Mapping[str, str]) -> str:
    return "\n".join(
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
        for key, value in values.items()
    )


def _dims(tensor: TensorSpec) -> str:
    return "[ " + ", ".join(str(size) for size in tensor.shape) + " ]"
