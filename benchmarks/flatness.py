"""Cost per object in an empty and in a full store: `make bench-flatness`.

One store is filled to N instances, then 10 kB objects are sent to it and to a new, empty store in
short turns, so that what else the machine does weighs on both. The ratio is the median of the
ratios of neighbouring turns: 1.0 means that N instances cost nothing.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.filling import fill
from benchmarks.machine import disk, machine, versions
from benchmarks.measure import Cell, Measurement, measure_running, send, warm_up
from benchmarks.options import folder_option, json_option
from benchmarks.receivers import Receiver, running_sentinode
from node.settings import load_settings
from node.store.session import open_store
from tests.peers.postgresql import missing, running_postgresql

_SIZE = "10kB"
_TEMPLATE_OBJECTS = 100  # the study that is copied
# Left for the C-STOREs that are measured.
_LEFT_INSTANCES = 1000
# Both stores have a receiver that runs for a whole round, and objects go to one of them at a time.
_TURNS_PER_ROUND = 4

NewDatabase = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Flatness:
    """One database, one number of associations."""

    database: str
    associations: int
    instances: int
    empty: list[Measurement]
    full: list[Measurement]

    @property
    def ratio(self) -> float:
        """Seconds per object, full to empty."""
        pairs = zip(self.empty, self.full, strict=True)
        return statistics.median(
            empty.objects_per_second / full.objects_per_second for empty, full in pairs
        )

    @property
    def cpu_ratio(self) -> float:
        """Processor time per object, full to empty."""
        pairs = zip(self.empty, self.full, strict=True)
        return statistics.median(
            full.cpu_ms_per_object / empty.cpu_ms_per_object for empty, full in pairs
        )

    def objects_per_second(self) -> tuple[float, float]:
        """Medians: empty, full."""
        empty = statistics.median(each.objects_per_second for each in self.empty)
        return empty, statistics.median(each.objects_per_second for each in self.full)


class Stores:
    """One full store, and as many empty ones as are asked for, on one database server."""

    def __init__(
        self, folder: Path, new_database: NewDatabase, instances: int, with_content: bool
    ) -> None:
        self._folder, self._new_database = folder, new_database
        self._full_url = new_database()
        self._full_dir = folder / "full"
        with running_sentinode(self._full_dir, self._full_url) as receiver:
            send(receiver, Cell(_SIZE, 1), 0.0, _TEMPLATE_OBJECTS)
        settings = load_settings(state_dir=self._full_dir, database_url=self._full_url)
        store = open_store(settings)
        self.instances = fill(store.engine, instances - _LEFT_INSTANCES, with_content)
        store.close()
        os.sync()

    @contextmanager
    def full(self) -> Iterator[Receiver]:
        """A receiver on the full store."""
        with running_sentinode(self._full_dir, self._full_url) as receiver:
            yield receiver

    @contextmanager
    def empty(self) -> Iterator[Receiver]:
        """A receiver on a new, empty store."""
        with (
            tempfile.TemporaryDirectory(prefix="empty-", dir=self._folder) as name,
            running_sentinode(Path(name), self._new_database()) as receiver,
        ):
            yield receiver


def compare(stores: Stores, database: str, cell: Cell, rounds: int, seconds: float) -> Flatness:
    """Send to both in short turns; each round begins with an empty store and with the other one."""
    found = Flatness(database, cell.associations, stores.instances, [], [])
    for number in range(rounds):
        os.sync()
        with stores.empty() as empty, stores.full() as full:
            turns = [(empty, found.empty), (full, found.full)]
            for receiver, _ in turns:
                warm_up(receiver, cell)
            for turn in range(_TURNS_PER_ROUND):
                for receiver, measured in turns if (number + turn) % 2 else reversed(turns):
                    measured.append(measure_running(receiver, cell, seconds))
    return found


@contextmanager
def _new_databases(database: str, folder: Path) -> Iterator[NewDatabase]:
    if database == "sqlite":
        yield lambda: ""
        return
    with running_postgresql((), folder) as server:
        yield server.new_database


@click.command()
@click.option("--instances", type=click.IntRange(2000), default=1_000_000, show_default=True)
@click.option(
    "--database",
    type=click.Choice(["sqlite", "postgresql", "both"]),
    default="both",
    show_default=True,
)
@click.option("--associations", multiple=True, type=int, default=(1, 16), show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=float, default=1.0, show_default=True, help="Of one turn.")
@click.option(
    "--without-content",
    is_flag=True,
    help="Leave the bytes of small objects out of the copied rows: a tenth of the disk.",
)
@folder_option("Where the stores are.")
@json_option("flatness")
def flatness(
    instances: int,
    database: str,
    associations: tuple[int, ...],
    rounds: int,
    seconds: float,
    without_content: bool,
    folder: Path,
    json_path: Path,
) -> None:
    """Measure what N stored instances cost. Needs a source checkout with the test extra."""
    console = Console()
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Flatness] = []
    for name in ["sqlite", "postgresql"] if database == "both" else [database]:
        if name == "postgresql" and (reason := missing()):
            raise click.ClickException(reason)
        with tempfile.TemporaryDirectory(prefix="flatness-", dir=folder) as place:
            Path(place).chmod(0o755)  # PostgreSQL runs as another user
            with _new_databases(name, Path(place)) as new_database:
                began = time.monotonic()
                stores = Stores(Path(place), new_database, instances, not without_content)
                took = time.monotonic() - began
                console.print(f"{name}: {stores.instances} instances filled in in {took:.0f} s")
                for number in associations:
                    found.append(compare(stores, name, Cell(_SIZE, number), rounds, seconds))
                    console.print(_line(found[-1]))
    _write(found, json_path, rounds, seconds, folder)
    console.print(f"written: {json_path}")


def _write(found: list[Flatness], path: Path, rounds: int, seconds: float, folder: Path) -> None:
    facts: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.flatness", *sys.argv[1:]]),
        "rounds": rounds,
        "seconds": seconds,
        "machine": machine(),
        "versions": versions(),
        "disk_ms": disk(folder),
    }
    rows = [asdict(each) | {"ratio": each.ratio, "cpu_ratio": each.cpu_ratio} for each in found]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(_page(found, facts), encoding="utf-8")


_HEAD = """# Cost per object as the store grows

Written by `{command}`.

A store is filled by copying the rows of a received study under other UIDs (the same tables and
indexes, no files), then objects of 10 kB are sent to it and to a new, empty store in turns of
{seconds} s; {rounds} rounds of {turns} turns for each, every round with a new empty store. The
ratio is seconds per object, full to empty: the median of the ratios of neighbouring turns.

| database | instances | associations | objects/s, empty | objects/s, full | ratio | CPU ratio |
|---|---:|---:|---:|---:|---:|---:|
"""


def _page(found: list[Flatness], facts: dict[str, Any]) -> str:
    named = {name: facts[name] for name in ("command", "rounds", "seconds")}
    head = _HEAD.format(turns=_TURNS_PER_ROUND, **named)
    lines = []
    for each in found:
        empty, full = each.objects_per_second()
        lines.append(
            f"| {each.database} | {each.instances} | {each.associations} "
            f"| {empty:.0f} | {full:.0f} | {each.ratio:.2f} | {each.cpu_ratio:.2f} |"
        )
    known = [*facts["machine"].items(), *facts["versions"].items()]
    measured = [f"- {name}: {value}" for name, value in known]
    return head + "\n".join([*lines, "", "## Measured on", "", *measured]) + "\n"


def _line(found: Flatness) -> str:
    empty, full = found.objects_per_second()
    return (
        f"{found.database}, {found.associations} associations: {empty:.0f} objects/s empty, "
        f"{full:.0f} with {found.instances} instances; ratio {found.ratio:.2f}, "
        f"processor time {found.cpu_ratio:.2f}"
    )


if __name__ == "__main__":
    flatness()
