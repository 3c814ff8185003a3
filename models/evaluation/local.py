"""ONNX Runtime in this process, on the file that Triton would serve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.contract import ModelSpec
from models.serving.configuration import ONNX_FILE


class LocalServer:
    """Answers as Triton does, without batching by others; sessions open when first needed."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, NDArray[Any]], str]:
        """Outputs by name, and version "1". Raises FileNotFoundError where nothing was exported."""
        session = self._session(spec.name)
        names = [tensor.name for tensor in spec.outputs]
        rows = len(next(iter(tensors.values())))
        parts = [
            session.run(
                names,
                {
                    name: np.ascontiguousarray(array[start : start + spec.max_batch_size])
                    for name, array in tensors.items()
                },
            )
            for start in range(0, rows, spec.max_batch_size)
        ]
        columns = zip(*parts, strict=True)
        return {
            name: np.concatenate(column) for name, column in zip(names, columns, strict=True)
        }, "1"

    def _session(self, name: str) -> onnxruntime.InferenceSession:
        if name not in self._sessions:
            path = self._repository / name / "1" / ONNX_FILE
            if not path.is_file():
                raise FileNotFoundError(f"{path} does not exist: export the model first")
            self._sessions[name] = onnxruntime.InferenceSession(
                str(path), providers=["CPUExecutionProvider"]
            )
        return self._sessions[name]
