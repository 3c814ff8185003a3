"""The training command: configuration, facts on disk, folds; with a model made for the test."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.training import command
from models.training.command import Request, train
from models.training.config import ConfigError
from models.training.folds import Fold


@dataclass(frozen=True)
class Config:
    batch: int = 8
    learning_rate: float = 1e-4


calls: list[tuple[Config, tuple[Path, ...], Path, bool, Fold | None]] = []


def run(
    config: Config,
    data: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
    fold: Fold | None = None,
) -> Mapping[str, float]:
    calls.append((config, tuple(data), out, resume, fold))
    return {"auc": 0.5 if fold is None else 0.6 + 0.1 * fold.number}


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model called `tiny` whose training does nothing, with defaults in a TOML file."""
    package, module = types.ModuleType("models.tiny"), types.ModuleType("models.tiny.train")
    module.__dict__.update(Config=Config, run=run)
    monkeypatch.setitem(sys.modules, "models.tiny", package)
    monkeypatch.setitem(sys.modules, "models.tiny.train", module)
    defaults = tmp_path / "train.toml"
    defaults.write_text("batch = 12\n")
    monkeypatch.setattr(command, "defaults_path", lambda name: defaults)
    calls.clear()


def test_defaults_file_and_overrides_reach_the_run(tmp_path: Path) -> None:
    """The model's TOML, then the given one, then the overrides; all of it is written down."""
    mine = tmp_path / "mine.toml"
    mine.write_text("learning_rate = 0.5\nbatch = 20\n")
    out, data = tmp_path / "out", (tmp_path / "rsna",)
    figures = train(Request("tiny", data, out, (mine,), ("batch=4",), resume=True))
    assert figures == {"auc": 0.5}
    assert calls == [(Config(4, 0.5), data, out, True, None)]
    facts = json.loads((out / "config.json").read_text())
    assert facts["config"] == {"batch": 4, "learning_rate": 0.5}
    assert facts["data"] == ["rsna"]


def test_folds_are_trained_one_after_the_other(tmp_path: Path) -> None:
    """Each into a folder of its own; the answer is mean and deviation."""
    summary = train(Request("tiny", (), tmp_path / "out", folds=2))
    assert summary["auc"]["mean"] == pytest.approx(0.65)
    assert [fold for *_, fold in calls] == [Fold(0, 2), Fold(1, 2)]
    assert [call[2].name for call in calls] == ["fold1", "fold2"]


def test_unknown_setting_starts_nothing(tmp_path: Path) -> None:
    """A typing error ends the command before anything is trained or written."""
    with pytest.raises(ConfigError, match="did you mean batch"):
        train(Request("tiny", (), tmp_path / "out", overrides=("bacth=3",)))
    assert not calls
    assert not (tmp_path / "out").exists()


def test_model_that_keeps_no_samples_says_so(tmp_path: Path) -> None:
    """`prepare` of a model without packs is an error of the command, not a traceback."""
    with pytest.raises(ConfigError, match="tiny keeps no prepared samples"):
        command.prepare(Request("tiny", (), tmp_path / "out"))


def test_a_run_is_resumed_with_the_settings_it_was_begun_with(tmp_path: Path) -> None:
    """Another rate is refused by name, and what was written stays; without --resume it is new."""
    out = tmp_path / "out"
    train(Request("tiny", (), out))
    with pytest.raises(ConfigError, match=r"begun with learning_rate = 0.0001 .* with 0.5; set it"):
        train(Request("tiny", (), out, overrides=("learning_rate=0.5",), resume=True))
    assert json.loads((out / "config.json").read_text())["config"]["learning_rate"] == 1e-4
    train(Request("tiny", (), out, resume=True))
    train(Request("tiny", (), out, overrides=("learning_rate=0.5",)))
    assert len(calls) == 3


def pictures(folder: Path, count: int) -> Path:
    """Laid out as BUSI, normal images alone."""
    (folder / "normal").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / "normal" / f"{number}.png").write_bytes(b"")
    return folder


def test_a_run_goes_on_with_the_images_it_was_begun_with(tmp_path: Path) -> None:
    """Without its folder it would go on with phantoms, and forget the licence of what it saw."""
    out, data = tmp_path / "out", (pictures(tmp_path / "mine", 3),)
    train(Request("tiny", data, out))
    facts = json.loads((out / "config.json").read_text())
    with pytest.raises(ConfigError, match="begun with --data mine, and cannot go on with phantoms"):
        train(Request("tiny", (), out, resume=True))
    train(Request("tiny", (data[0].rename(tmp_path / "moved"),), out, resume=True))
    pictures(tmp_path / "moved", 4)
    with pytest.raises(ConfigError, match="cannot go on with --data moved: name the same"):
        train(Request("tiny", (tmp_path / "moved",), out, resume=True))
    now = json.loads((out / "config.json").read_text())
    assert (now["layouts"], now["images"]) == (["busi"], facts["images"])
    train(Request("tiny", (), out))
    assert len(calls) == 3


def test_folds_of_a_folder_with_other_images_are_others(tmp_path: Path) -> None:
    """One picture more under the same name: folds that are done had other sides."""
    out, data = tmp_path / "out", (pictures(tmp_path / "mine", 3),)
    train(Request("tiny", data, out, folds=2))
    pictures(data[0], 4)
    with pytest.raises(ConfigError, match="in which images, names or truth are others now"):
        train(Request("tiny", data, out, folds=2))


def test_folds_that_are_done_are_those_of_the_same_series(tmp_path: Path) -> None:
    """Another budget, other data or another number of folds: their figures are not taken for it."""
    out, data = tmp_path / "out", (tmp_path / "rsna",)
    first = train(Request("tiny", data, out, folds=2))
    assert train(Request("tiny", data, out, folds=2)) == first
    assert len(calls) == 2
    for other, name in (
        (Request("tiny", data, out, folds=3), "--folds was 2 and is 3"),
        (Request("tiny", (tmp_path / "mias",), out, folds=2), "--data was"),
        (Request("tiny", data, out, overrides=("batch=4",), folds=2), "batch was 12 and is 4"),
        (Request("tiny", data, out), "--folds was 2 and is 0"),
    ):
        with pytest.raises(ConfigError, match=f"folds that are done, of another series: {name}"):
            train(other)
    assert json.loads((out / "config.json").read_text())["config"]["batch"] == 12


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file of that name; nothing is wrong with the images."""
    (tmp_path / "out").write_text("x")
    with pytest.raises(ConfigError, match=r"--out .*/out cannot be made: File exists"):
        train(Request("tiny", (), tmp_path / "out"))
