"""`sentinode bench NAME`: measurements, which stand in the checkout and are not installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from node.errors import ConfigurationError

NAMES = ("receive", "results", "flatness", "scale")
CHECKOUT = Path(__file__).resolve().parent.parent


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Measure the node; needs a source checkout.",
)
@click.argument("name", type=click.Choice(NAMES))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def bench(name: str, options: tuple[str, ...]) -> None:
    """Measure the node; `sentinode bench NAME --help` lists the options of one.

    Needs a source checkout with the test extra (`make test` installs it): the measurements are not
    part of the package. `receive` sets it beside Orthanc, DCMTK and pynetdicom; `results` measures
    what result objects cost; `flatness` what a million stored instances cost; `scale` how many
    studies an hour workers bring through.
    """
    become(CHECKOUT, name, options)


def become(checkout: Path, name: str, options: tuple[str, ...]) -> None:
    """Turn this process into the measurement. Raises ConfigurationError without a checkout."""
    if not (checkout / "benchmarks" / f"{name}.py").is_file():
        raise ConfigurationError(
            f"`bench {name}` needs a source checkout with the test extra; clone the repository and "
            f"run `make bench-{name}` there"
        )
    path = os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH")]))
    os.execve(  # noqa: S606  # an argv list, no shell
        sys.executable,
        [sys.executable, "-m", f"benchmarks.{name}", *options],
        os.environ | {"PYTHONPATH": path},
    )
