from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.evaluation.metrics import Counts
from models.mtu_net import fold, table, table_report
from models.mtu_net.baselines import METHODS
from tests.unit.models.mtu_net.test_insertion_samples import a_folder  # noqa: F401


def arguments(folder: Path, out: Path) -> list[str]:
    return [
        *("--data", str(folder), "--out", str(out), "--folds", "2", "--variants", "1"),
        *("--steps", "1", "--batch", "2", "--window", "32", "--width", "2", "--threads", "1"),
    ]


def test_the_table_is_made_fold_by_fold_and_goes_on(folder: Path, tmp_path: Path) -> None:
    """Every fold of every method leaves a file; what is done is not done again."""
    table.main(arguments(folder, tmp_path))
    done = sorted(path.name for path in tmp_path.glob("*.fold_*.json"))
    assert done == sorted(f"{name}.fold_{number}.json" for name in METHODS for number in range(2))
    (tmp_path / done[0]).unlink()
    kept = (tmp_path / done[1]).stat().st_mtime_ns
    table.main(arguments(folder, tmp_path))
    assert (tmp_path / done[0]).is_file()
    assert (tmp_path / done[1]).stat().st_mtime_ns == kept
    facts = json.loads((tmp_path / "table.json").read_text())
    assert set(facts["methods"]["mtu_net"]["mc"]) == set(table_report.METRICS)
    assert "as reported by the paper" in (tmp_path / "table.md").read_text()
    with pytest.raises(SystemExit, match="another budget"):
        table.main([*arguments(folder, tmp_path), "--steps", "2"])


def test_mammograms_may_be_squeezed_as_in_the_paper(folder: Path, tmp_path: Path) -> None:
    """One tile of 256 px each, with truth in it; the page says so, and tiles are not mixed."""
    table.main([*arguments(folder, tmp_path), "--whole", "--window", "256"])
    with np.load(tmp_path / "tiles.npz") as kept:
        assert kept["tiles"].shape[1:] == kept["truth"].shape[1:] == (1, 1, 256, 256)
        assert kept["truth"].any()
    assert "whole mammograms squeezed to 256 x 256 px" in (tmp_path / "table.md").read_text()
    with pytest.raises(SystemExit, match="other images"):
        table.main([*arguments(folder, tmp_path), "--window", "256"])


def test_an_image_without_a_breast_is_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told and the rest goes on; tiles of other images are not taken for these."""
    images = shutil.copytree(folder, tmp_path / "images")
    cv2.imwrite(str(images / "mdb003.jpg"), np.zeros((400, 300), np.uint8))
    out = tmp_path / "out"
    table.main(arguments(images, out))
    assert "left out: mdb003" in capsys.readouterr().out
    with np.load(out / "tiles.npz") as kept:
        names = list(kept["names"])
    assert "mdb002" in names
    assert "mdb003" not in names
    with pytest.raises(SystemExit, match="other images"):
        table.main([*arguments(images, out), "--variants", "2"])


def test_mean_and_spread_are_over_folds(tmp_path: Path) -> None:
    """Sensitivities of 0.5 and 1.0 are 75 percent with a standard deviation of 35.4."""
    for number, missed in enumerate((5.0, 0.0)):
        counts = Counts(tp=10.0 - missed, fp=0.0, tn=90.0, fn=missed)
        tally = fold.Tally({"mc": counts, "bac": counts}, 100.0, 20.0, 5.0)
        (tmp_path / f"mtu_net.fold_{number}.json").write_text(json.dumps(tally.to_json()))
    drawing = table_report.Drawing(variants=1)
    table_report.write(tmp_path, images=2, drawing=drawing, recipe=fold.Recipe())
    row = json.loads((tmp_path / "table.json").read_text())["methods"]["mtu_net"]
    assert row["mc"]["sensitivity"]["mean"] == pytest.approx(75.0)
    assert row["mc"]["sensitivity"]["spread"] == pytest.approx(35.355, abs=0.001)
    assert row["artery_as_mc"]["mean"] == pytest.approx(20.0)
    assert row["artery_as_mc_suppressed"]["mean"] == pytest.approx(5.0)
