"""A whole training run, far too small to learn anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.resnet50.network import ResNet50  # noqa: E402
from models.resnet50.settings import Data, Stage  # noqa: E402
from models.resnet50.train import Config, Staged, prepare, run  # noqa: E402
from models.resnet50.validation import abnormal_auc, malignant_auc  # noqa: E402
from models.training import weights  # noqa: E402
from models.training.command import defaults_path  # noqa: E402
from models.training.config import read  # noqa: E402

TINY = (
    "data.batch=4",
    "data.phantoms=0",
    "data.workers=0",
    "fit.minutes=0",
    "fit.steps=3",
    "fit.validations=1",
    "fit.threads=1",
    "fit.device=cpu",
    "fit.tensorboard=false",
)


def config() -> Config:
    stages = (Stage(0.5, 64, False), Stage(1.0, 64, True))
    return replace(read(Config, defaults_path("resnet50"), TINY), stages=stages)


def test_run_from_packs_writes_weights_that_load(rsna: Path, tmp_path: Path) -> None:
    """Prepared once, trained without the images, warm-started from its own weights."""
    packed = replace(config(), data=replace(config().data, packs=str(tmp_path / "packs")))
    prepare(packed, [rsna])
    out = tmp_path / "out"
    figures = run(packed, [], out)
    assert {"rsna_auc_malignant", "rsna_auc_malignant_with_facts"} <= set(figures)
    network = ResNet50()
    weights.load(network, out)
    rows = [json.loads(row) for row in (out / "log.jsonl").read_text().splitlines()]
    assert rows[-1] == {**rows[-1], "kind": "end", "step": 3}
    run(replace(packed, initial=out), [], tmp_path / "again")
    with pytest.raises(ValueError, match=r"data\.packs names no folder"):
        prepare(config(), [rsna])


def test_stage_follows_the_share_of_the_budget() -> None:
    """The second stage begins where the first ends, and the last one lasts."""
    network = ResNet50()
    stage = Staged(config().stages)
    seen = []
    for share in (0.0, 0.49, 0.5, 1.0):
        stage(network, share)
        seen.append(network.deep)
    assert seen == [False, False, True, True]
    assert Data().batch == read(Config, defaults_path("resnet50")).data.batch


def test_figures_leave_out_images_without_a_class() -> None:
    """A row labelled -100 does not count, whatever was predicted for it."""
    rows = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1], [0.0, 0.0, 1.0]])
    labels = np.array([0, 2, 1, -100])
    assert malignant_auc(rows, labels) == 1.0
    assert abnormal_auc(rows, labels) == 1.0
