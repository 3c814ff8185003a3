"""What `sentinode models train NAME` does: configuration, output folder, one run or all folds.

In: the name of a model, folders of data, TOML files and overrides. Out: trained weights in `out`
with the configuration that made them. A model's `models.NAME.train` offers

    Config                                   a frozen dataclass, defaults in models/NAME/train.toml
    run(config, data, out, *, resume, fold)  trains, writes `out/weights.*.pt`, returns figures
    prepare(config, data)                    optional: makes and keeps the samples, trains nothing

What must hold: `out/config.json` says how the weights came about, before the first step.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from models.datasets.folders import layout_of, read_contents
from models.datasets.splits import fingerprint
from models.training import config as configuration
from models.training.config import ConfigError
from models.training.folds import FIGURES, Fold, cross_validate

DEFAULTS = "train.toml"
FACTS = "config.json"

# What may change when a run is resumed: the budget, the machine, and what is looked at.
_FREE = {
    *("fit.minutes", "fit.steps", "fit.pause_minutes", "fit.device", "fit.threads"),
    *("fit.checkpoint_seconds", "fit.tensorboard", "data.workers", "data.packs"),
}
_BUDGET = {"fit.minutes", "fit.steps"}

_OF_DATA = ("data", "layouts", "images")


class Run(Protocol):
    """Train once. `fold` None holds out the project's usual share."""

    def __call__(
        self,
        config: Any,
        data: Sequence[Path],
        out: Path,
        *,
        resume: bool = False,
        fold: Fold | None = None,
    ) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True)
class Request:
    """The command line. `folds` 0 trains once; `configs` are laid over the model's defaults."""

    name: str
    data: tuple[Path, ...]
    out: Path
    configs: tuple[Path, ...] = ()
    overrides: tuple[str, ...] = ()
    resume: bool = False
    folds: int = 0


def prepare(request: Request) -> None:
    """Make and keep the samples. Raises ConfigError, also where the model keeps none."""
    module = importlib.import_module(f"models.{request.name}.train")
    if not hasattr(module, "prepare"):
        raise ConfigError(f"{request.name} keeps no prepared samples")
    try:
        module.prepare(_config(module, request), request.data)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def defaults_path(name: str) -> Path:
    """The TOML file with the model's defaults, each with its source."""
    return Path(__file__).parents[1] / name / DEFAULTS


def train(request: Request) -> Mapping[str, Any]:
    """Figures of the run, or their mean and deviation over the folds. Raises ConfigError."""
    module = importlib.import_module(f"models.{request.name}.train")
    config = _config(module, request)
    run: Run = module.run
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {request.out} cannot be made: {error.strerror}") from error
    facts = _facts(config, request)
    has_folds = any(request.out.glob(f"fold*/{FIGURES}"))
    if request.resume:
        _refuse_other_settings(config, request.out)
    if has_folds:
        _refuse_other_series(facts, request)
    if request.resume or has_folds:
        facts = _of_same_images(facts, request.out)
    _write_facts(facts, request.out)

    def run_fold(fold: Fold, out: Path) -> Mapping[str, float]:
        return run(config, request.data, out, resume=request.resume, fold=fold)

    if request.folds:
        return cross_validate(run_fold, request.folds, request.out)
    return run(config, request.data, request.out, resume=request.resume, fold=None)


def _config(module: Any, request: Request) -> Any:
    paths = [defaults_path(request.name), *request.configs]
    return configuration.read(module.Config, paths, request.overrides)


def _refuse_other_settings(config: Any, out: Path) -> None:
    """A resumed run goes on as it was begun, but for where and how long it runs.

    Raises ConfigError that names the first setting that differs.
    """
    path = out / FACTS
    if not path.is_file():
        return
    before = _flat(json.loads(path.read_text())["config"])
    now = _flat(json.loads(json.dumps(dataclasses.asdict(config), default=str)))
    for name in sorted(set(before) & set(now) - _FREE):
        if before[name] != now[name]:
            raise ConfigError(
                f"{out} was begun with {name} = {before[name]!r} and cannot be resumed with "
                f"{now[name]!r}; set it back, or train into another --out"
            )


def _of_same_images(facts: dict[str, Any], out: Path) -> dict[str, Any]:
    """The facts of a run, or a series, that goes on with the images that it was begun with.

    From packs alone it may, where the images are not: what they were stays written down. Raises
    ConfigError, for sides of other images are others, and so may be the weights' licence.
    """
    path = out / FACTS
    before = json.loads(path.read_text()) if path.is_file() else {}
    kept = {name: before[name] for name in _OF_DATA if name in before}
    if not facts["data"] and _flat(facts["config"]).get("data.packs"):
        return facts | kept
    # A run of an earlier version wrote down the names of the folders alone.
    name = "images" if "images" in kept else "data"
    if name in kept and kept[name] != facts[name]:
        begun, now = (
            " ".join(f"--data {folder}" for folder in found["data"]) or "phantoms alone"
            for found in (before, facts)
        )
        changed = ", in which images, names or truth are others now" if begun == now else ""
        raise ConfigError(
            f"{out} was begun with {begun}{changed}, and cannot go on with {now}: name the "
            "same folders as they were, or train into another --out"
        )
    return facts


def _refuse_other_series(facts: Mapping[str, Any], request: Request) -> None:
    """Folds that are done are not trained again: they must be those of this series.

    Raises ConfigError that names what differs: number of folds, data or a setting.
    """
    path = request.out / FACTS
    before = _series(json.loads(path.read_text())) if path.is_file() else {}
    now = _series(json.loads(json.dumps(facts, default=str)))
    for name in sorted(set(before) | set(now)):
        if before.get(name) != now.get(name):
            raise ConfigError(
                f"{request.out} holds folds that are done, of another series: {name} was "
                f"{before.get(name)!r} and is {now.get(name)!r}; set it back, or train into "
                "another --out"
            )


def _series(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the figures of a fold: not where it is made, nor what is written beside it."""
    settings = _flat(facts["config"])
    kept = {name: settings[name] for name in settings.keys() - (_FREE - _BUDGET)}
    return kept | {"--folds": facts["folds"], "--data": facts["data"]}


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their full names, as --set takes them."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _inherited(config: Any) -> list[str]:
    """Layouts that the weights saw which this run starts from, where they say so."""
    initial: Path | None = getattr(config, "initial", None)
    if initial is None or not (initial / FACTS).is_file():
        return []
    facts = json.loads((initial / FACTS).read_text())
    return list(facts.get("layouts", ()))


def _write_facts(facts: Mapping[str, Any], out: Path) -> None:
    (out / FACTS).write_text(json.dumps(facts, indent=1, default=str) + "\n")


def _images(folder: Path) -> str:
    """What divides the folder into sides; empty where it has no layout. Raises DataSetError."""
    return fingerprint(read_contents(folder).cases) if layout_of(folder) else ""


def _facts(config: Any, request: Request) -> dict[str, Any]:
    return {
        "model": request.name,
        "data": [path.name or path.resolve().name for path in request.data],
        # What was trained on decides the weights' licence, whatever the folders are called.
        "layouts": [layout_of(path) for path in request.data] + _inherited(config),
        # Which images, so that another folder of that name is not taken for this one.
        "images": [_images(path) for path in request.data],
        "folds": request.folds,
        "config": dataclasses.asdict(config),
    }
