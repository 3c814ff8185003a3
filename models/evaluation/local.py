"""ONNX Runtime in this process, on the file that Triton would serve."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.contract import ModelSpec
from models.serving.configuration import ONNX_FILE


class NotExportedError(RuntimeError):
    """The repository holds no such model, or one exported for another preprocessing."""


_DIGEST = re.compile(r'key: "sha256" value \{ string_value: "(\w+)"')


def weights_digest(repository: Path, name: str) -> str:
    """SHA-256 (hex) of the ONNX file as exported; empty where no model is exported."""
    path = repository / name / "config.pbtxt"
    found = _DIGEST.search(path.read_text()) if path.is_file() else None
    return found[1] if found else ""


class LocalServer:
    """Answers as Triton does, without batching by others; sessions open when first needed."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, NDArray[Any]], str]:
        """Outputs by name, and version "1". Raises NotExportedError."""
        session = self._session(spec)
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

    def _session(self, spec: ModelSpec) -> onnxruntime.InferenceSession:
        if spec.name not in self._sessions:
            folder = self._repository / spec.name
            path, configuration = folder / "1" / ONNX_FILE, folder / "config.pbtxt"
            if not path.is_file() or not configuration.is_file():
                raise NotExportedError(f"{folder} holds no exported model")
            if spec.preprocessing_digest() not in configuration.read_text():
                raise NotExportedError(f"{folder} was exported for another preprocessing")
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() not in configuration.read_text():
                    raise NotExportedError(f"{path} is not the file that was exported")
            self._sessions[spec.name] = onnxruntime.InferenceSession(
                str(path), providers=["CPUExecutionProvider"]
            )
        return self._sessions[spec.name]
