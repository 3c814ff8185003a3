"""What stands beside the weights that the project ships."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from models.evaluation.cards import licence_of
from models.registry import MODELS

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_weights_carry_the_licence_of_their_data(name: str) -> None:
    """`sentinode models card` writes LICENCE from card.toml: run it after other training."""
    licence = (ROOT / "model_repository" / name / "LICENCE").read_text()
    facts = tomllib.loads((ROOT / "models" / name / "card.toml").read_text())
    narrow = licence_of(facts)
    if "research use only" in narrow:
        assert narrow in licence


@pytest.mark.parametrize("name", sorted(MODELS))
def test_recorded_parity_is_that_of_these_weights(name: str) -> None:
    """A parity.json left over from other weights would prove nothing."""
    folder = ROOT / "model_repository" / name
    if not (folder / "parity.json").is_file():
        return  # exported before parity was recorded
    facts = json.loads((folder / "parity.json").read_text())
    served = re.search(
        r'key: "sha256" value \{ string_value: "(\w+)"', (folder / "config.pbtxt").read_text()
    )
    assert served is not None
    assert facts["onnx_sha256"] == served[1]
