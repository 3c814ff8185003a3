"""How much machine a site needs: `python -m benchmarks.sizing` writes docs/sizing.md.

In: the measured cost of a study (docs/benchmarks/scale.json) and of an object
(docs/benchmarks/receive.json), and sites of several sizes. Out: a page. Plain arithmetic, so that
whoever has other figures can put them in; what it says of one node is put to the simulation that
was held against the measurement.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.receivers import ROOT
from benchmarks.simulation import Demand, makespan_seconds

_BENCHMARKS = ROOT / "docs" / "benchmarks"
_PAGE = ROOT / "docs" / "sizing.md"
_TEMPLATE = Path(__file__).with_suffix(".md.in")

IMAGES_PER_STUDY = 4
# Uncompressed; what the receiver was measured with.
IMAGE_MB = 27
DAYS_PER_YEAR = 250
HOURS_PER_DAY = 8
# The busiest hour beside the mean one of a working day.
PEAK = 2.0
# Above this, queues grow faster than use (M/M/c); the rest is for restarts and updates.
UTILISATION = 0.7
# Of the simulation, for each worker: enough that its first and last study weigh little.
_STUDIES_PER_WORKER = 20


@dataclass(frozen=True, slots=True)
class Site:
    """Who sends, and how many studies a year."""

    name: str
    studies_per_year: int
    is_one_node: bool = True


SITES = (
    Site("one clinic", 5_000),
    Site("hospital", 40_000),
    Site("region", 500_000),
    Site("country", 5_000_000, is_one_node=False),
    Site("national programme, 200 million images a year", 50_000_000, is_one_node=False),
)


@dataclass(frozen=True, slots=True)
class Need:
    """What a site asks of the node in its busiest hour, and in a year."""

    studies_per_hour: float
    analysing_cores: int
    tritons: int
    images_per_second: float
    receiving_cores: int
    megabytes_per_second: float
    terabytes_per_year: float
    rows_per_second: float


def need(site: Site, demand: Demand, image_core_seconds: float) -> Need:
    """Work out one site. A Triton has one instance of each model, so its slowest one limits it."""
    hours = DAYS_PER_YEAR * HOURS_PER_DAY
    studies_per_hour = PEAK * site.studies_per_year / hours
    images_per_second = studies_per_hour * IMAGES_PER_STUDY / 3600
    return Need(
        studies_per_hour=studies_per_hour,
        analysing_cores=_used(studies_per_hour / 3600 * demand.core_seconds),
        tritons=_used(studies_per_hour / 3600 * demand.images * max(demand.model_seconds.values())),
        images_per_second=images_per_second,
        receiving_cores=_used(images_per_second * image_core_seconds),
        megabytes_per_second=images_per_second * IMAGE_MB,
        terabytes_per_year=site.studies_per_year * IMAGES_PER_STUDY * IMAGE_MB / 1e6,
        rows_per_second=studies_per_hour / 3600 * rows_of(demand),
    )


def _used(busy: float) -> int:
    return max(1, math.ceil(busy / UTILISATION))


def capacity_per_hour(each: Need, demand: Demand, speeds: Sequence[float]) -> float:
    """Studies an hour of so many cores, by simulation: a worker for each, and never a queue dry.

    `speeds`: as measured; the last one stands for all further cores.
    """
    cores = each.analysing_cores
    studies = _STUDIES_PER_WORKER * cores
    fast = [*speeds[:cores], *[speeds[-1]] * (cores - len(speeds))]
    seconds = makespan_seconds(
        demand, workers=cores, studies=studies, speeds=fast, tritons=each.tritons
    )
    return 3600 * studies / seconds


def write() -> Path:
    """Write the page and return its path."""
    _PAGE.write_text(page(), encoding="utf-8")
    return _PAGE


def page() -> str:
    """The text of the page, from the measurements as they are."""
    scale = json.loads((_BENCHMARKS / "scale.json").read_text(encoding="utf-8"))
    demand = Demand(**scale["demand"])
    image_seconds = _image_core_seconds(json.loads((_BENCHMARKS / "receive.json").read_text()))
    needs = {site: need(site, demand, image_seconds) for site in SITES}
    capacities = {
        site: capacity_per_hour(each, demand, scale["speeds"])
        for site, each in needs.items()
        if site.is_one_node
    }
    return _TEMPLATE.read_text(encoding="utf-8").format(
        study=demand.core_seconds,
        triton=demand.images * sum(demand.model_seconds.values()),
        image_mb=IMAGE_MB,
        image_ms=1000 * image_seconds,
        images=IMAGES_PER_STUDY,
        days=DAYS_PER_YEAR,
        hours=HOURS_PER_DAY,
        peak=PEAK,
        utilisation=UTILISATION,
        rows_of=rows_of(demand),
        rows="\n".join(_line(site, each, capacities.get(site)) for site, each in needs.items()),
        hospital=needs[SITES[1]].analysing_cores,
        region=needs[SITES[2]].analysing_cores,
        tritons=needs[SITES[2]].tritons,
    )


def rows_of(demand: Demand) -> float:
    """Rows that a study writes: study, series, job, events, and per image its own, runs, findings.

    Two findings on an image, one result for each image and one for the study, one delivery each.
    """
    per_image = 1 + len(demand.model_seconds) + 2 + 2
    return 12 + demand.images * per_image


def _image_core_seconds(receive: dict[str, Any]) -> float:
    """The dearest of the measured numbers of associations."""
    return max(
        float(row["median"]["cpu_ms_per_object"]) / 1000
        for row in receive["rows"]
        if row["variant"] == "sentinode" and row["size"] == f"{IMAGE_MB}MB"
    )


def _line(site: Site, each: Need, capacity: float | None) -> str:
    simulated = "" if capacity is None else f"{capacity:,.0f}"
    return (
        f"| {site.name} | {site.studies_per_year:,} | {each.studies_per_hour:,.0f} "
        f"| {each.analysing_cores:,} | {each.tritons:,} | {simulated} "
        f"| {each.images_per_second:,.2f} | {each.receiving_cores:,} "
        f"| {each.megabytes_per_second:,.1f} | {each.rows_per_second:,.1f} "
        f"| {each.terabytes_per_year:,.1f} |"
    )


if __name__ == "__main__":
    print(write())
