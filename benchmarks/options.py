"""Options that several of the commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from benchmarks.receivers import ROOT

Command = TypeVar("Command", bound=Callable[..., object])


def json_option(name: str) -> Callable[[Command], Command]:
    """`--json`: where the figures go; by default those that the project publishes as `name`."""
    return click.option(
        "--json",
        "json_path",
        type=click.Path(path_type=Path, dir_okay=False),
        default=ROOT / "docs" / "benchmarks" / f"{name}.json",
        help=f"Result; a page is written beside it.  [default: docs/benchmarks/{name}.json]",
    )


def folder_option(what: str) -> Callable[[Command], Command]:
    """`--folder`: where what is measured writes."""
    return click.option(
        "--folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=ROOT / "runs" / "benchmarks",
        help=f"{what}  [default: runs/benchmarks]",
    )
