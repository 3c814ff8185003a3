"""Interrupted and resumed equals uninterrupted, bit for bit; best weights, patience, pauses."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.training.loop import FitConfig, FitResult, Watch, fit, seed_everything
from models.training.schedule import Budget
from models.training.watching import UnknownMetricError, Watcher

Batch = tuple[Tensor, Tensor]


class Killed(Exception):
    """Stands for a kill of the process: nothing after it runs."""


class Source:
    """Batches drawn from every generator there is, as careless augmentation does."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.own = torch.Generator().manual_seed(5)
        self.dies_at = dies_at

    def __call__(self, step: int) -> Batch:
        if step == self.dies_at:
            raise Killed
        x = torch.randn(16, 4) + torch.randn(16, 1, generator=self.own)
        x = x * random.uniform(0.5, 1.5) + float(np.random.normal())
        return x, x.sum(dim=1, keepdim=True)


def _module() -> nn.Module:
    seed_everything(3)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 1))


def _loss(module: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    return {"square": ((module(batch[0]) - batch[1]) ** 2).mean()}


def _figure(module: nn.Module) -> Mapping[str, float]:
    x = torch.linspace(-1.0, 1.0, 32).view(8, 4)
    return {"error": float(((module(x) - x.sum(dim=1, keepdim=True)) ** 2).mean())}


def _run(config: FitConfig, source: Source) -> FitResult:
    return fit(_module(), _loss, source, config, _figure, generators={"own": source.own})


def _config(out_dir: Path, steps: int = 40) -> FitConfig:
    return FitConfig(
        out_dir,
        Budget(steps=steps),
        learning_rate=0.03,
        validations=8,
        checkpoint_seconds=1e-9,
        tensorboard=False,
        watch=Watch("error", "min"),
    )


def _assert_same(first: FitResult, second: FitResult) -> None:
    states = (first.module.state_dict(), second.module.state_dict())
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    assert dict(first.metrics) == dict(second.metrics)


def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    """Killed twice and resumed twice: same weights, same best, with chance from four generators."""
    whole = _run(_config(tmp_path / "whole"), Source())
    config = _config(tmp_path / "cut")
    with pytest.raises(Killed):
        _run(config, Source(dies_at=13))
    with pytest.raises(Killed):
        _run(replace(config, resume=True), Source(dies_at=29))
    resumed = _run(replace(config, resume=True), Source())
    assert resumed.steps == 40
    _assert_same(whole, resumed)


def test_paused_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A call that may last no time saves and returns; the next ones end as one call would."""
    whole = _run(_config(tmp_path / "whole", 6), Source())
    config = replace(_config(tmp_path / "parts", 6), checkpoint_seconds=0.0)
    result = _run(replace(config, pause_minutes=0.0), Source())
    assert not result.finished
    assert result.steps == 0
    for _ in range(3):
        result = _run(replace(config, resume=True, pause_minutes=1e-6), Source())
    resumed = _run(replace(config, resume=True), Source())
    assert resumed.finished
    _assert_same(whole, resumed)
    kinds = [
        json.loads(row)["kind"] for row in (tmp_path / "parts/log.jsonl").read_text().splitlines()
    ]
    assert kinds[0] == "pause"
    assert kinds[-1] == "end"


def test_best_weights_are_kept_and_patience_ends_the_run(tmp_path: Path) -> None:
    """The figure worsens from the second validation on: the first weights come back, early."""
    seen: list[dict[str, Tensor]] = []

    def worsening(module: nn.Module) -> Mapping[str, float]:
        seen.append({name: tensor.clone() for name, tensor in module.state_dict().items()})
        return {"auc": 1.0 / len(seen)}

    config = replace(_config(tmp_path, 80), watch=Watch("auc", patience=2))
    result = fit(_module(), _loss, Source(), config, worsening)
    assert len(seen) == 3
    assert result.steps == 30
    assert result.finished
    assert result.metrics == {"auc": 1.0}
    for name, tensor in result.module.state_dict().items():
        assert torch.equal(tensor, seen[0][name])


def test_watcher_counts_a_figure_that_is_no_number_as_a_miss() -> None:
    """NaN is never the best; a metric that is not there is named."""
    watcher = Watcher(Watch("auc", patience=2, margin=0.01))
    assert watcher.is_best({"auc": 0.6}, 1)
    assert not watcher.is_best({"auc": 0.605}, 2)
    assert not watcher.is_best({"auc": float("nan")}, 3)
    assert watcher.gives_up()
    with pytest.raises(UnknownMetricError, match="no metric auc to watch; there are loss"):
        watcher.is_best({"loss": 1.0}, 4)


def test_curriculum_sees_the_share_that_is_spent(tmp_path: Path) -> None:
    """Module and average are told before each step, from 0 on."""
    seen: list[tuple[nn.Module, float]] = []
    module = _module()
    config = replace(_config(tmp_path, 4), watch=Watch())
    result = fit(
        module, _loss, Source(), config, curriculum=lambda told, share: seen.append((told, share))
    )
    assert [share for told, share in seen if told is module] == [0.0, 0.25, 0.5, 0.75]
    assert [share for told, share in seen if told is result.module] == [0.0, 0.25, 0.5, 0.75]


def test_tensorboard_gets_the_curves(tmp_path: Path) -> None:
    """The event file holds the training loss and the figure of validation."""
    config = replace(_config(tmp_path), tensorboard=True, checkpoint_seconds=0.0)
    _run(config, Source())
    (events,) = (tmp_path / "tensorboard").glob("events.out.tfevents.*")
    written = events.read_bytes()
    assert b"train/loss" in written
    assert b"validation/error" in written
