"""The self-test of a device: what counts as another answer, and what the reference is of."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from models.registry import MODELS
from node.cli import main
from node.errors import ModelMismatchError
from tests.peers.ports import free_port
from workers.device import REFERENCE, differences, judge, memory_text

REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"
STORED: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_reference_is_of_the_weights_in_the_repository(name: str) -> None:
    """New weights need `sentinode device --write` beside a running stack."""
    text = (REPOSITORY / name / "config.pbtxt").read_text(encoding="utf-8")
    match = re.search(r'key: "sha256" value { string_value: "(\w+)"', text)
    assert match is not None
    assert STORED[name]["sha256"] == match[1], "run `sentinode device --write`"


def test_the_reference_agrees_with_itself_and_not_with_other_weights() -> None:
    """Nothing differs from a copy; a digest that differs is an error, not a comparison."""
    for row in STORED.values():
        found = {**row, "seconds": 1.0}
        assert judge(found, row).problems == []
        with pytest.raises(ModelMismatchError):
            judge({**found, "sha256": "0" * 64}, row)


def test_a_moved_lost_or_new_finding_is_noticed() -> None:
    """Ten pixels, a missing finding, a new one and another score each give one line."""
    wanted = next(image for image in STORED["mask_rcnn_mg"]["images"] if image["regions"])
    moved, scored, more = (copy.deepcopy(wanted) for _ in range(3))
    moved["regions"][0]["box"][0] += 10
    scored["regions"][0]["score"] -= 0.1
    more["regions"].append({"kind": "mass", "score": 0.999, "box": [0, 0, 9, 9]})
    assert differences(wanted, wanted) == []
    assert any("no mass at" in text for text in differences(moved, wanted))
    assert any("instead of" in text for text in differences(scored, wanted))
    assert differences(more, wanted) == ["a new mass at [0, 0, 9, 9]"]


def test_memory_is_told_in_mib() -> None:
    """Used is what is not available; swap in use is said."""
    text = "MemTotal: 4096000 kB\nMemAvailable: 1024000 kB\nSwapTotal: 2048 kB\nSwapFree: 1024 kB\n"
    assert memory_text(text) == "memory: 3000 MiB of 4000 MiB in use, swap 1 MiB"


@pytest.mark.parametrize("command", ["device", "check"])
def test_without_triton_it_says_how_to_come_by_one(command: str, tmp_path: Path) -> None:
    """A row for each model, with what to do next."""
    environment = {
        "SENTINODE_TRITON_URL": f"127.0.0.1:{free_port()}",
        "SENTINODE_STATE_DIR": str(tmp_path),
        "SENTINODE_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
    }
    outcome = CliRunner().invoke(main, [command], env=environment)
    assert outcome.exit_code == 1
    assert outcome.output.count("SENTINODE_TRITON_URL") == len(MODELS)
