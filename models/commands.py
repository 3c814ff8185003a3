"""`sentinode models train` and `export`: the only commands that need torch, and only when run."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from models.registry import MODELS

NAMES = click.Choice(sorted(MODELS))


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("name", type=NAMES)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def train(name: str, options: tuple[str, ...]) -> None:
    """Train NAME on phantoms; OPTIONS are those of `python -m models.NAME.train`."""
    importlib.import_module(f"models.{name}.train").main(list(options))


@click.command()
@click.argument("name", type=NAMES)
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with weights.*.pt, the --out of training.",
)
@click.option(
    "--repository",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("model_repository"),
    show_default=True,
    help="Model repository to write into.",
)
def export(name: str, weights: Path, repository: Path) -> None:
    """Turn trained weights of NAME into what Triton loads."""
    folder = importlib.import_module(f"models.{name}.export").export(weights, repository)
    click.echo(f"wrote {folder}")
