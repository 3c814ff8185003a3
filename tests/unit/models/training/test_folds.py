"""Cross-validation: every fold once, mean and deviation, and no fold twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from models.training.folds import Fold, cross_validate


def test_interrupted_series_goes_on_with_the_folds_that_are_left(tmp_path: Path) -> None:
    """A fold that is done is read, not trained; the summary is over all of them."""
    trained: list[int] = []

    def run_fold(fold: Fold, out: Path) -> Mapping[str, float]:
        if fold.number == 2 and len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(fold.number)
        assert out == tmp_path / f"fold{fold.number + 1}"
        return {"dice": 0.5 + 0.1 * fold.number}

    with pytest.raises(KeyboardInterrupt):
        cross_validate(run_fold, 3, tmp_path)
    trained.append(-1)
    summary = cross_validate(run_fold, 3, tmp_path)
    assert trained == [0, 1, -1, 2]
    assert summary["dice"] == pytest.approx({"mean": 0.6, "standard_deviation": 0.1})
    written = json.loads((tmp_path / "folds.json").read_text())
    assert [row["dice"] for row in written["folds"]] == pytest.approx([0.5, 0.6, 0.7])


def test_a_figure_that_a_fold_leaves_open_is_in_no_mean(tmp_path: Path) -> None:
    """No lesion in one of the folds: the files are JSON, and no mean is made of the others."""

    def run_fold(fold: Fold, out: Path) -> Mapping[str, float]:
        return {"dice": float("nan") if fold.number else 0.5, "auc": 0.7}

    assert list(cross_validate(run_fold, 2, tmp_path)) == ["auc"]
    for path in tmp_path.rglob("*.json"):
        assert "NaN" not in path.read_text()


def test_fold_that_does_not_exist_is_refused() -> None:
    """Fold 5 of 5 is counted from 0 and is one too many."""
    with pytest.raises(ValueError, match="no fold 5 of 5"):
        Fold(5, 5)
