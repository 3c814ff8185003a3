"""Receivers side by side: `make bench-receive`, or python -m benchmarks.receive.

For each size and number of associations, the receivers take turns for some rounds. Prints a table
per cell as it goes; writes JSON, page and picture unless the run is a quick one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from benchmarks import page
from benchmarks.machine import disk, machine, touch_memory, versions
from benchmarks.measure import MINIMUM_OBJECTS, Cell, Measurement, measure
from benchmarks.objects import SIZES
from benchmarks.options import folder_option
from benchmarks.receivers import ROOT, VARIANTS, Variant
from benchmarks.summary import Row, order, rows

Measure = Callable[[Variant, Cell], Measurement]

_DEFAULT_JSON = ROOT / "docs" / "benchmarks" / "receive.json"
_POSTGRESQL = "sentinode-postgresql"
# Measured when they are asked for: our own receiver in another way.
_ON_DEMAND = (_POSTGRESQL, "sentinode-alone")
_QUICK_SECONDS = 0.2
_FILE_WIDTH = 140  # columns, where the output is no terminal


def _list(_context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    known = list(SIZES if parameter.name == "sizes" else VARIANTS)
    chosen = [part.strip() for part in value.split(",")]
    wrong = [part for part in chosen if part not in known]
    if wrong:
        raise click.BadParameter(f"{', '.join(wrong)}; known: {', '.join(known)}")
    return chosen


def _numbers(_context: click.Context, _parameter: click.Parameter, value: str) -> list[int]:
    try:
        return [int(part) for part in value.split(",")]
    except ValueError as error:
        raise click.BadParameter("numbers with commas") from error


@click.command()
@click.option("--sizes", default=",".join(SIZES), callback=_list, show_default=True)
@click.option("--associations", default="1,4,16", callback=_numbers, show_default=True)
@click.option(
    "--variants",
    default=",".join(name for name in VARIANTS if name not in _ON_DEMAND),
    callback=_list,
    show_default=True,
)
@click.option(
    "--database",
    type=click.Choice(["sqlite", "postgresql", "both"]),
    default="sqlite",
    show_default=True,
    help="What Sentinode writes its rows to.",
)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=float, default=3.0, show_default=True, help="Of one run.")
@click.option("--delayed-acks", is_flag=True, help="An ordinary socket; see the page.")
@click.option("--quick", is_flag=True, help="One round of 0.2 s, 10 kB, 4 associations; no files.")
@folder_option("Where all receivers store, on the disk that counts.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Result; page and picture are written beside it.  [default: docs/benchmarks/receive.json]",
)
def receive(
    sizes: list[str],
    associations: list[int],
    variants: list[str],
    database: str,
    rounds: int,
    seconds: float,
    delayed_acks: bool,
    quick: bool,
    folder: Path,
    json_path: Path | None,
) -> None:
    """Measure receivers side by side. Needs a source checkout with the test extra."""
    console = Console(width=None if sys.stdout.isatty() else _FILE_WIDTH)
    if quick:
        sizes, associations, rounds, seconds = ["10kB"], [4], 1, _QUICK_SECONDS
    else:
        with console.status("using all memory once"):
            touch_memory()
    folder.mkdir(parents=True, exist_ok=True)
    names = _present(_with_database(variants, database), console)
    cells = [Cell(size, number, delayed_acks) for size in sizes for number in associations]
    found: list[Row] = []
    measure_one = partial(measure, folder=folder, seconds=seconds, quick=quick)
    for cell in cells:
        of_cell = _compare(cell, names, rounds, measure_one, console)
        page.show(of_cell, console)
        found += of_cell
    if quick and json_path is None:
        return
    report = page.Report(
        command=_command(),
        rounds=rounds,
        seconds=seconds,
        minimum=MINIMUM_OBJECTS,
        delayed_acks=delayed_acks,
        machine=machine(),
        versions=versions(),
        disk_ms=disk(folder),
        rows=found,
    )
    page.write(report, json_path or _DEFAULT_JSON)
    console.print(f"written: {json_path or _DEFAULT_JSON}")


def _compare(
    cell: Cell, names: Sequence[str], rounds: int, measure_one: Measure, console: Console
) -> list[Row]:
    found = []
    for number in range(rounds):
        taken = {}
        for name in order(names, number):
            with console.status(f"{cell.size}, {cell.associations}, round {number + 1}: {name}"):
                taken[name] = measure_one(VARIANTS[name], cell)
        found.append({name: taken[name] for name in names})
    return rows(cell, found)


def _with_database(variants: Sequence[str], database: str) -> list[str]:
    ours = {"sqlite": ["sentinode"], "postgresql": [_POSTGRESQL]}.get(
        database, ["sentinode", _POSTGRESQL]
    )
    chosen: list[str] = []
    for name in variants:
        chosen += ours if name == "sentinode" else [name]
    return list(dict.fromkeys(chosen))


def _present(names: Sequence[str], console: Console) -> list[str]:
    present = []
    for name in names:
        missing = VARIANTS[name].missing()
        if missing:
            console.print(f"{VARIANTS[name].label} is left out: {missing}")
        else:
            present.append(name)
    return present


def _command() -> str:
    return " ".join(["python -m benchmarks.receive", *sys.argv[1:]])


if __name__ == "__main__":
    receive()
