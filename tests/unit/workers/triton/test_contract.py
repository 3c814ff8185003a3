from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from models.contract import ModelSpec, TensorSpec
from models.registry import MODELS
from models.serving.configuration import render
from workers.triton.contract import differences

SPEC = MODELS["resnet50"].spec


def served(spec: ModelSpec) -> ModelConfig:
    return text_format.Parse(render(spec, "00" * 32), ModelConfig())


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_equals_its_own_configuration(name: str) -> None:
    """What we write is what we accept."""
    assert differences(MODELS[name].spec, served(MODELS[name].spec)) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"inputs": (TensorSpec("image", "UINT8", (2, 512, 321)),)}, "inputs"),
        ({"inputs": (TensorSpec("picture", "UINT8", (2, 512, 320)),)}, "inputs"),
        ({"outputs": (TensorSpec("probabilities", "INT32", (3,)),)}, "outputs"),
        ({"max_batch_size": 9}, "max_batch_size"),
        ({"version": "0.0.1"}, "spec_version"),
        ({"preprocessing": {"rows_px": 1}}, "preprocessing_digest"),
        ({"classes": ("malignant", "benign", "normal")}, "preprocessing_digest"),
    ],
)
def test_every_difference_is_named(change: dict[str, object], word: str) -> None:
    """A tensor, the batch, the version or the preprocessing: each is told by its name."""
    other = replace(SPEC, **change)  # type: ignore[arg-type]
    found = differences(SPEC, served(other))
    assert any(line.startswith(word) for line in found)
