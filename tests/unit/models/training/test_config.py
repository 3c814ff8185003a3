"""Reading a training configuration: types, overrides, and errors that name the mistake."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from models.training.config import ConfigError, read
from models.training.settings import FitSettings


@dataclass(frozen=True)
class Loss:
    alpha: float = 2.0
    kind: Literal["dice", "cross_entropy"] = "dice"


@dataclass(frozen=True)
class Config:
    batch: int = 8
    sizes_px: tuple[int, ...] = (64,)
    folder: Path | None = None
    loss: Loss = field(default_factory=Loss)
    fit: FitSettings = field(default_factory=FitSettings)


def toml(tmp_path: Path, text: str, name: str = "train.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_file_and_overrides_fill_the_dataclass(tmp_path: Path) -> None:
    """Later files and overrides win, integers serve as floats, what nobody says is default."""
    base = toml(tmp_path, "batch = 12\nsizes_px = [64, 128]\n[fit]\nminutes = 8\nseed = 3\n")
    mine = toml(tmp_path, "[fit]\nseed = 4\n[loss]\nalpha = 3\n", "mine.toml")
    config = read(Config, [base, mine], ["fit.watch.metric=auc", "folder=/data", "loss.kind=dice"])
    assert (config.batch, config.sizes_px, config.folder) == (12, (64, 128), Path("/data"))
    assert (config.fit.minutes, config.fit.seed, config.fit.watch.metric) == (8.0, 4, "auc")
    assert config.loss == Loss(3.0, "dice")
    assert config.fit.learning_rate == FitSettings().learning_rate


def test_fit_settings_become_the_configuration_of_a_run(tmp_path: Path) -> None:
    """Zero minutes are no limit; "auto" becomes a device of this machine."""
    settings = read(FitSettings, toml(tmp_path, "steps = 5\nlearning_rate = 0.1\n"))
    config = settings.config(tmp_path, "name", resume=True)
    assert (config.budget.steps, config.budget.minutes) == (5, None)
    assert config.learning_rate == 0.1
    assert config.resume
    assert config.pause_minutes is None
    assert config.device in ("cpu", "cuda")
    with pytest.raises(ValueError, match="budget needs"):
        FitSettings().config(tmp_path, "name")


@pytest.mark.parametrize(
    ("text", "override", "message"),
    [
        ("bach = 3", "", "bach is no setting; did you mean batch?"),
        ("[fit]\nlearning_rates = 3", "", "fit.learning_rates is no setting; did you mean"),
        ("[loss]\nzzz = 3", "", "loss.zzz is no setting; known are alpha, kind"),
        ("batch = 2.5", "", "batch is 2.5, which is no int"),
        ("batch = true", "", "batch is True, which is no int"),
        ("sizes_px = [1, 'a']", "", r"sizes_px\[1\] is 'a', which is no int"),
        ("", "loss.kind=dise", "loss.kind is 'dise'"),
        ("", "batch", "not of the form key=value"),
        ("batch = ", "", "is not TOML"),
    ],
)
def test_mistake_is_named(tmp_path: Path, text: str, override: str, message: str) -> None:
    """A wrong key, type, value or syntax says where it stands and what is known."""
    with pytest.raises(ConfigError, match=message):
        read(Config, toml(tmp_path, text), [override] if override else [])


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is an error with its path."""
    with pytest.raises(ConfigError, match=r"absent\.toml cannot be read"):
        read(Config, tmp_path / "absent.toml")


OVERLAYS = sorted((Path(__file__).parents[4] / "models").glob("*/paper_*.toml"))


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_papers_hyper_parameters_can_be_laid_over(path: Path) -> None:
    """Every overlay names settings that there are, and changes what is trained by default."""
    config = importlib.import_module(f"models.{path.parent.name}.train").Config
    defaults = path.with_name("train.toml")
    assert read(config, [defaults, path]) != read(config, defaults)


def test_there_is_an_overlay_for_each_paper_that_trains_a_mask_rcnn_or_a_u_net() -> None:
    """Papers 001, 002 and 004; 004 trains on both modalities."""
    assert [f"{path.parent.name}/{path.stem}" for path in OVERLAYS] == [
        "mask_rcnn_mg/paper_001",
        "mask_rcnn_mg/paper_004",
        "mask_rcnn_us/paper_004",
        "mtu_net/paper_002",
    ]
