from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.contract import BreastImage
from models.datasets.cases import Case, Truth
from models.datasets.folders import read_folder
from models.datasets.splits import fingerprint
from models.evaluation.seen import Trained, may_have_seen, of_card, of_run
from models.registry import MODELS

IMAGE = BreastImage(np.zeros((2, 2), np.float32), "US")
CASES = [Case(str(n), "US", Truth("normal", ()), lambda: IMAGE, f"{n // 2}") for n in range(8)]
TRAINED = Trained(frozenset({"busi", "phantoms"}), frozenset({fingerprint(CASES)}))


def run_of(folder: Path, **facts: Any) -> Path:
    folder.mkdir(parents=True)
    usual = {"data": ["mine"], "layouts": ["busi"], "images": ["a"], "folds": 0, "config": {}}
    (folder / "config.json").write_text(json.dumps(usual | facts))
    return folder


def test_only_the_side_of_the_very_folder_is_held_out() -> None:
    """A picture less, or both sides, and nobody knows that the weights never saw them."""
    assert may_have_seen(TRAINED, "busi", CASES, "validation") is False
    assert may_have_seen(TRAINED, "busi", CASES[1:], "validation") is True
    assert may_have_seen(TRAINED, "busi", CASES, "all") is True
    assert may_have_seen(TRAINED, "busi", CASES, "training") is True


def test_of_other_sets_nothing_was_seen_and_of_phantoms_nobody_knows() -> None:
    """A layout that training never met; seeds that no folder tells; a run that says nothing."""
    assert may_have_seen(TRAINED, "inbreast", CASES, "all") is False
    assert may_have_seen(TRAINED, "phantoms", CASES, "all") is None
    assert may_have_seen(None, "busi", CASES, "all") is None


def test_what_a_run_writes_down(tmp_path: Path) -> None:
    """Its folders; a fold holds out another side; of packs alone nothing is known."""
    assert of_run(run_of(tmp_path / "run")) == Trained(frozenset({"busi"}), frozenset({"a"}))
    series = run_of(tmp_path / "series", folds=2)
    assert of_run(series / "fold1") == Trained(frozenset({"busi"}), frozenset())
    assert of_run(tmp_path) is None
    carried = {"data": [], "layouts": [], "images": [], "config": {"data": {"packs": "p"}}}
    assert of_run(run_of(tmp_path / "carried", **carried)) is None
    (tmp_path / "run" / "config.json").write_text("{")
    assert of_run(tmp_path / "run") is None


def test_what_initial_weights_saw_is_seen(tmp_path: Path) -> None:
    """Held out is what both runs held out; weights that say nothing may have seen all."""
    before = run_of(tmp_path / "before", layouts=["rsna"], images=["a", "b"])
    after = run_of(tmp_path / "after", images=["a", "c"], config={"initial": str(before)})
    assert of_run(after) == Trained(frozenset({"busi", "rsna"}), frozenset({"a"}))
    (before / "config.json").unlink()
    assert of_run(after) is None


@pytest.mark.parametrize("name", sorted(MODELS))
def test_cards_tell_the_folders_that_were_divided(real_data: Path, name: str) -> None:
    """Otherwise their own validation sides would read as seen."""
    trained = of_card(name)
    folders = trained.layouts - {"phantoms"}
    found = {fingerprint(read_folder(real_data / folder)) for folder in folders}
    assert trained.images == found
