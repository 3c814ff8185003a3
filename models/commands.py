"""`sentinode models train` and `export`: the only commands that need torch, and only when run."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from models.registry import MODELS

NAMES = click.Choice(sorted(MODELS))
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("name", type=NAMES)
@click.option("--data", type=FOLDER, multiple=True, help="Folder of images; may be repeated.")
@click.option(
    "--config",
    "configs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="TOML laid over models/NAME/train.toml; may be repeated.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="One setting, such as fit.minutes=10; may be repeated.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for weights, log and checkpoint.  [default: runs/NAME]",
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")
@click.option("--prepare", is_flag=True, help="Make and keep the samples; train nothing.")
@click.option("--folds", type=click.IntRange(min=2), help="Cross-validate with so many folds.")
def train(
    name: str,
    data: tuple[Path, ...],
    configs: tuple[Path, ...],
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    prepare: bool,
    folds: int | None,
) -> None:
    """Train NAME on the folders of --data, as models/NAME/train.toml says."""
    if folds and not data:
        raise click.UsageError("--folds divides the images of a folder: name it as --data")
    from models.training import command
    from models.training.checkpoint import CheckpointError
    from models.training.config import ConfigError
    from models.training.samples import SampleError

    out = out or Path("runs") / name
    request = command.Request(name, data, out, configs, overrides, resume, folds or 0)
    try:
        if prepare:
            command.prepare(request)
            return
        figures = command.train(request)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except (CheckpointError, FloatingPointError, OSError, SampleError, ValueError) as error:
        raise click.ClickException(f"{_told(error)}{_what_to_do(error)}") from error
    except KeyboardInterrupt:
        if next(out.rglob("checkpoint.pt"), None):
            click.echo(f"\nstopped; --resume goes on from the checkpoint in {out}", err=True)
        raise
    for figure, value in figures.items():
        click.echo(f"{figure}: {value}")
    click.echo(f"wrote {out}")


def _told(error: Exception) -> str:
    """An error of the system without its number, and with the file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _what_to_do(error: Exception) -> str:
    """What helps, where the error itself does not say it."""
    if isinstance(error, FloatingPointError):
        return "; train with a lower fit.learning_rate"
    cause = error.__cause__ or error
    # The system's own errors, a full disk for one, have a number; those of our readers have none.
    if isinstance(cause, OSError) and not cause.errno and "cannot be written" not in str(cause):
        return "; repair the file, or take it out of the folder and its table"
    return ""


@click.command()
@click.argument("name", type=NAMES)
@click.option(
    "--weights",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with weights.*.pt, the --out of training.  [default: runs/NAME]",
)
@click.option(
    "--repository",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("model_repository"),
    show_default=True,
    help="Model repository to write into.",
)
def export(name: str, weights: Path | None, repository: Path) -> None:
    """Turn trained weights of NAME into what Triton loads, with their licence beside them."""
    weights = weights or Path("runs") / name
    cards = importlib.import_module("models.evaluation.cards")
    try:
        undeclared = cards.undeclared_data(name, weights)
    except ValueError as error:
        raise click.ClickException(f"{weights / 'config.json'} is damaged: {error}") from error
    if undeclared:
        raise click.ClickException(
            f"these weights saw {', '.join(undeclared)}: list it in models/{name}/card.toml under "
            "trained_on, so that they carry its licence"
        )
    try:
        folder = importlib.import_module(f"models.{name}.export").export(weights, repository)
    except (OSError, RuntimeError, ValueError) as error:
        reason = _told(error).partition("\n")[0]
        if isinstance(error, FileNotFoundError):
            reason += "; name the --out of `sentinode models train` as --weights"
        raise click.ClickException(f"{weights} cannot be exported as {name}: {reason}") from error
    cards.write_licence(name, repository)
    click.echo(f"wrote {folder}")
