"""The result as a table on the terminal, as a page and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.picture import draw
from benchmarks.receivers import VARIANTS
from benchmarks.summary import Row

_COLUMNS = (
    "receiver",
    "objects/s",
    "MB/s",
    "x Orthanc",
    "x storescp",
    "p50 ms",
    "p95 ms",
    "CPU ms/object",
    "peak MB",
)

_HEAD = """# Receiving, side by side

Written by `{command}`.

One sender for all, as a modality: each association sends one object and waits for its response
before the next; PDUs as long as the receiver allows, 131072 bytes at most. Each run of a receiver
starts empty, on the same disk as the others, and lasts {seconds} s or {minimum} objects per
association; {rounds} rounds, the receivers one after the other in each, in rotating order. Medians
over the rounds; a ratio is the median of the ratios within a round. MB are 10^6 bytes of data set.
Latency is from the first byte of the request to the response. CPU is that of the receiver with all
its children, and of PostgreSQL where it takes part; memory is the receiver's alone: peak resident
set, or, of several processes, the largest sum of their proportional sets.

**What is durable when the response comes**: Sentinode has synced the file and committed its row;
Orthanc (`SyncStorageArea`, its default) has synced the file and written its index; `storescp` and
pynetdicom have synced nothing.

**What they come with**: Sentinode its default settings; Orthanc the `/etc/orthanc` of Debian's
package with its plugins, but for folders and ports; `storescp` its defaults, with `--fork` where
there is more than one association; `storescp +B` writes the bytes as they come and takes 128 KiB
PDUs; pynetdicom's own `storescp` application. "Nothing kept" answers without storing: what sender
and loopback could do at most.

**Memory**: all of it was used once before, because the host of a virtual machine hands out pages
when they are first used, and whoever's page cache grows into them would pay.

**Acknowledgements**: {acks}
"""

_QUICK_ACKS = """the sender acknowledges half a response at once. Debian's DCMTK, in `storescp` and
in Orthanc, writes a response in two pieces with Nagle's algorithm on, and the second waits for the
acknowledgement of the first, which Linux otherwise delays by 40 ms. `--delayed-acks` measures with
an ordinary socket."""
_DELAYED_ACKS = """an ordinary socket, which delays them by up to 40 ms (`--delayed-acks`)."""


@dataclass(frozen=True, slots=True)
class Report:
    """One comparison: how it was made, and its rows."""

    command: str
    rounds: int
    seconds: float
    minimum: int
    delayed_acks: bool
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    disk_ms: Mapping[str, float]
    rows: Sequence[Row]

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        fields = ("command", "rounds", "seconds", "minimum", "delayed_acks")
        facts = ("machine", "versions", "disk_ms")
        return {
            **{name: getattr(self, name) for name in (*fields, *facts)},
            "rows": [row.as_json() for row in self.rows],
        }


def write(report: Report, path: Path) -> None:
    """Write `path` (JSON) and beside it the page and the picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    picture = path.with_suffix(".png")
    draw(report.rows, picture)
    path.with_suffix(".md").write_text(page(report, picture.name), encoding="utf-8")


def page(report: Report, picture: str) -> str:
    """The page in Markdown."""
    acks = _DELAYED_ACKS if report.delayed_acks else _QUICK_ACKS
    head = _HEAD.format(
        command=report.command,
        seconds=report.seconds,
        minimum=report.minimum,
        rounds=report.rounds,
        acks=acks,
    )
    parts = [head, f"![objects per second by receiver]({picture})\n"]
    for size, of_size in groupby(report.rows, key=lambda row: row.size):
        parts.append(f"## {size}\n")
        for associations, found in groupby(of_size, key=lambda row: row.associations):
            parts.append(f"{associations} association{'s' if associations > 1 else ''}:\n")
            parts.append(_table(list(found)))
    return "\n".join([*parts, _facts(report)])


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the rows of one cell."""
    title = f"{rows[0].size}, {rows[0].associations} associations"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column(_COLUMNS[0], no_wrap=True)
    for name in _COLUMNS[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*cells(row))
    console.print(table)


def cells(row: Row) -> list[str]:
    """The texts of one row of the table."""
    label, figures = VARIANTS[row.variant].label, row.median
    if figures.rejected:
        return [label, "rejected", *["-"] * (len(_COLUMNS) - 2)]
    return [
        label,
        _number(figures.objects_per_second),
        _number(figures.megabytes_per_second),
        *(_ratio(row.ratios.get(name)) for name in ("orthanc", "storescp")),
        _number(figures.p50_ms),
        _number(figures.p95_ms),
        _number(figures.cpu_ms_per_object),
        _number(figures.peak_megabytes),
    ]


def _table(rows: Sequence[Row]) -> str:
    lines = [_line(_COLUMNS), _line(["---", *["---:"] * (len(_COLUMNS) - 1)])]
    lines += [_line(cells(row)) for row in rows]
    lines += [
        f"\n{VARIANTS[row.variant].label}: {row.median.rejected}."
        for row in rows
        if row.median.rejected
    ]
    return "\n".join(lines) + "\n"


def _facts(report: Report) -> str:
    facts = [f"- {name}: {value}" for name, value in report.machine.items()]
    disk = "; ".join(f"{size} bytes {_number(ms)} ms" for size, ms in report.disk_ms.items())
    facts.append(f"- disk, one file written and synced: {disk}")
    facts += [f"- {name}: {value}" for name, value in report.versions.items()]
    return "## Measured on\n\n" + "\n".join(facts) + "\n"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _number(value: float) -> str:
    """Three significant figures, without an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
