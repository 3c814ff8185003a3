"""The training engine: schedule, resume, averaging, weights and samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from models.training import weights
from models.training.average import WeightAverage
from models.training.loop import FitConfig, fit, seed_everything
from models.training.samples import SampleStock, sample_pool
from models.training.schedule import Budget, learning_rate_factor

CPU = torch.device("cpu")


def _module() -> nn.Module:
    seed_everything(3)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 1))


def _batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
    return x, x.sum(dim=1, keepdim=True)


def _loss(
    module: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]
) -> Mapping[str, torch.Tensor]:
    return {"square": ((module(batch[0]) - batch[1]) ** 2).mean()}


def test_fit_learns_reports_and_validates(tmp_path: Path) -> None:
    """The loss falls, validations come as often as asked, and every line of the log is JSON."""
    calls: list[bool] = []

    def validate(module: nn.Module) -> Mapping[str, float]:
        calls.append(module.training)
        return {"figure": float(len(calls))}

    budget = Budget(steps=120)
    config = FitConfig(tmp_path, budget, learning_rate=0.03, validations=3, tensorboard=False)
    before = _loss(_module().eval(), _batch(999))["square"].item()
    result = fit(_module(), _loss, _batch, config, validate)
    after = _loss(result.module, _batch(999))["square"].item()
    assert after < 0.3 * before
    assert calls == [False] * 3
    assert result.metrics == {"figure": 3.0}
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert kinds.count("validation") == 3
    assert kinds[-1] == "end"


def test_loss_that_is_not_finite_ends_the_run_without_a_checkpoint(tmp_path: Path) -> None:
    """Nothing is saved after the weights have turned into NaN."""

    def broken(module: nn.Module, batch: object) -> Mapping[str, torch.Tensor]:
        return {"bad": next(module.parameters()).sum() * float("nan")}

    config = FitConfig(tmp_path, Budget(steps=50), checkpoint_seconds=1e-9, tensorboard=False)
    with pytest.raises(FloatingPointError, match="nan"):
        fit(_module(), broken, _batch, config)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_learning_rate_rises_then_falls_to_zero() -> None:
    """Warm-up is linear to 1, the cosine ends at 0."""
    factors = [learning_rate_factor(progress / 100, warm_up=0.1) for progress in range(101)]
    assert factors[0] == 0.01
    assert factors[5] == pytest.approx(0.5)
    assert max(factors) == factors[10] == pytest.approx(1.0)
    assert all(a >= b for a, b in pairwise(factors[10:]))
    assert factors[-1] == pytest.approx(0.0)


def test_budget_ends_at_whichever_comes_first() -> None:
    """Steps and minutes both count, and a budget of nothing is refused."""
    budget = Budget(steps=100, minutes=1)
    assert budget.progress(50, 0) == 0.5
    assert budget.progress(10, 45) == 0.75
    assert budget.progress(500, 0) == 1.0
    with pytest.raises(ValueError, match="needs"):
        Budget()


def test_average_follows_the_module_and_copies_counters() -> None:
    """The average of a constant is the constant; integer buffers are taken over."""
    module = _module()
    average = WeightAverage(module, decay=0.9)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(2.0)
    module(torch.randn(8, 4))
    for _ in range(200):
        average.update(module)
    weight = next(average.module.parameters())
    assert torch.allclose(weight, torch.full_like(weight, 2.0), atol=1e-3)
    assert average.module.state_dict()["1.num_batches_tracked"] == 1


def test_weights_return_from_parts_in_half_precision(tmp_path: Path) -> None:
    """Parts stay below their limit, replace those of an earlier run, and together are the whole."""
    module = nn.Sequential(*(nn.Linear(64, 64) for _ in range(6)))
    (tmp_path / "weights.099.pt").write_bytes(b"stale")
    paths = weights.save(module, tmp_path, part_bytes=20_000)
    assert len(paths) == 3
    assert sorted(tmp_path.glob("weights.*.pt")) == paths
    other = nn.Sequential(*(nn.Linear(64, 64) for _ in range(6)))
    weights.load(other, tmp_path)
    for mine, theirs in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-3)
        assert theirs.dtype == torch.float32


def test_weight_beyond_half_precision_is_refused(tmp_path: Path) -> None:
    """A weight of 70 000 would become infinite."""
    module = nn.Linear(2, 2)
    nn.init.constant_(module.weight, 70_000.0)
    with pytest.raises(ValueError, match="half precision"):
        weights.save(module, tmp_path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    """An empty folder is an error that names it."""
    with pytest.raises(FileNotFoundError, match=r"weights\.\*\.pt"):
        weights.load(nn.Linear(1, 1), tmp_path)


def _square(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    if seed == 13:
        raise ValueError("unlucky")
    return np.full((2, 2), seed, np.uint8), np.array([seed**2], np.float32)


def test_stock_draws_by_step_and_keeps_the_order_of_seeds() -> None:
    """The same step gives the same batch; columns stay together; validation sees each once."""
    stock = SampleStock(None, _square, range(10), CPU)
    first, again = stock.batch(4, 6, seed=1), stock.batch(4, 6, seed=1)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], stock.batch(5, 6, seed=1)[0])
    assert torch.equal(first[0][:, 0, 0].float() ** 2, first[1][:, 0])
    rows = torch.cat([images[:, 0, 0] for images, _ in stock.in_order(4)])
    assert rows.tolist() == list(range(10))


def test_stock_filled_by_processes_equals_one_filled_here() -> None:
    """The pool changes when samples come, not which."""
    with sample_pool(2) as pool:
        stock = SampleStock(pool, _square, range(12), CPU)
        stock.wait(12)
        assert len(stock) == 12
    here = SampleStock(None, _square, range(12), CPU)
    assert torch.equal(stock.batch(0, 8, seed=2)[0], here.batch(0, 8, seed=2)[0])


def test_sample_that_cannot_be_made_stops_the_training() -> None:
    """What went wrong in a process reaches the caller, with its cause."""
    with sample_pool(1) as pool:
        stock = SampleStock(pool, _square, range(10, 20), CPU)
        with pytest.raises(RuntimeError, match="could not be made or kept") as caught:
            stock.wait(10)
    assert isinstance(caught.value.__cause__, ValueError)
