"""Torch in this process: the network as it was trained, before any export.

In: a model's name and its weights. Out: answers as Triton gives them. What must hold: nothing that
serves imports this module; it is found by name where torch is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.contract import ModelSpec
from models.evaluation.local import NotExportedError
from models.registry import get_model
from models.restore import restore
from models.serving.configuration import ONNX_FILE


class TorchServer:
    """Answers for one model."""

    def __init__(self, name: str, repository: Path, weights: Path | None = None) -> None:
        """`weights`: folder of a training run; without it those of the exported file are used.

        Raises NotExportedError, ValueError.
        """
        self._module = load(name, repository, weights)

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, NDArray[Any]], str]:
        """Outputs by name, and version "torch"."""
        columns = [torch.from_numpy(np.ascontiguousarray(tensors[t.name])) for t in spec.inputs]
        parts = []
        for start in range(0, len(columns[0]), spec.max_batch_size):
            batch = [column[start : start + spec.max_batch_size] for column in columns]
            with torch.inference_mode():
                found = self._module(*batch)
            parts.append([found] if isinstance(found, torch.Tensor) else list(found))
        return {
            tensor.name: torch.cat([part[index] for part in parts]).numpy()
            for index, tensor in enumerate(spec.outputs)
        }, "torch"


def load(name: str, repository: Path, weights: Path | None) -> nn.Module:
    """The module that is exported, in evaluation mode, with weights."""
    module: nn.Module = importlib.import_module(f"models.{name}.export").module(weights)
    if weights is None:
        path = repository / name / "1" / ONNX_FILE
        if not path.is_file():
            raise NotExportedError(f"{path} is missing")
        restore(module, path, example(get_model(name).spec))
    return module.eval()


def example(spec: ModelSpec) -> list[torch.Tensor]:
    """One input of each kind: grey noise."""
    generator = torch.Generator().manual_seed(0)
    types = {"FP32": torch.float32, "INT32": torch.int32, "UINT8": torch.uint8}
    return [
        torch.randint(0, 256, (1, *tensor.shape), generator=generator).to(types[tensor.datatype])
        for tensor in spec.inputs
    ]
