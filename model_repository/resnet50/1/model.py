"""Triton's Python backend runs any of our ONNX files on a CPU with this one file.

It is copied to `model_repository/<name>/1/model.py`. In: batches of requests for one model. Out:
one response per request. What must hold: nothing here knows a model; the graph and the
configuration say everything. Only Python 3.6 syntax, because that is what JetPack 4.6 has.
"""
# ruff: noqa: B905 - zip() has no `strict` in Python 3.6

import hashlib
import json
import os
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found,unused-ignore]


class TritonPythonModel:
    """One loaded model; the names of the class and of its methods are Triton's."""

    def initialize(self, args: Any) -> None:
        """Open the ONNX file that the configuration names. Raises RuntimeError on a wrong file."""
        config = json.loads(args["model_config"])
        parameters = {key: entry["string_value"] for key, entry in config["parameters"].items()}
        path = os.path.join(args["model_repository"], args["model_version"], parameters["onnx"])
        refuse_other_file(path, parameters["sha256"])
        self.session = open_session(path)
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]

    def execute(self, requests: Any) -> Any:
        """Run the requests, which Triton batched, in one call and hand each its own rows."""
        columns = [
            [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
            for name in self.inputs
        ]
        rows = [len(array) for array in columns[0]]
        feed = {
            name: np.concatenate(column) if len(column) > 1 else column[0]
            for name, column in zip(self.inputs, columns)
        }
        results = self.session.run(self.outputs, feed)
        ends = np.cumsum(rows)
        return [
            pb_utils.InferenceResponse(
                output_tensors=[
                    pb_utils.Tensor(name, np.ascontiguousarray(result[end - count : end]))
                    for name, result in zip(self.outputs, results)
                ]
            )
            for count, end in zip(rows, ends)
        ]


def refuse_other_file(path: str, sha256: str) -> None:
    """Raise RuntimeError unless the file is the one that was exported (a copy may stop halfway)."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise RuntimeError(f"{path} has SHA-256 {digest.hexdigest()}, config.pbtxt says {sha256}")


def open_session(path: str) -> Any:
    """An ONNX Runtime session on SENTINODE_TRITON_CPU_THREADS threads (0 or unset: all cores)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("SENTINODE_TRITON_CPU_THREADS", "0"))
    # Idle threads of one model must not burn the cores that another model needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The arena keeps the largest batch for ever; several models share this machine's memory.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
