"""The arithmetic of sizing, worked out by hand, and put to the simulation."""

from __future__ import annotations

import json

import pytest

from benchmarks import sizing
from benchmarks.receivers import ROOT
from benchmarks.simulation import Demand
from benchmarks.sizing import SITES, Site, capacity_per_hour, need

# 360 s of a core, of which 240 are the only model's.
_DEMAND = Demand(4, 120.0, {"a": 60.0}, 0.0, 0.0, 0.0)


def test_a_site_of_round_numbers() -> None:
    """10,000 studies in 2,000 hours are 10 in the busiest hour; 360 s each keep one core busy."""
    found = need(Site("x", 10_000), _DEMAND, image_core_seconds=0.05)
    assert found.studies_per_hour == pytest.approx(10)
    # One core busy, at seven tenths: two.
    assert found.analysing_cores == 2
    # The model two thirds busy: one Triton will do.
    assert found.tritons == 1
    assert found.images_per_second == pytest.approx(40 / 3600)
    assert found.receiving_cores == 1
    # 12 for the study, and for each image itself, one run, two findings and two of its result.
    assert found.rows_per_second == pytest.approx(10 * (12 + 4 * 6) / 3600)
    assert found.terabytes_per_year == pytest.approx(1.08)


def test_twice_the_studies_are_twice_the_cores() -> None:
    """The model is linear: nothing in a node is shared by its sites."""
    small, large = (need(Site("x", count), _DEMAND, 0.04) for count in (1_000_000, 2_000_000))
    assert large.analysing_cores == pytest.approx(2 * small.analysing_cores, abs=1)
    assert large.tritons == pytest.approx(2 * small.tritons, abs=1)
    assert large.megabytes_per_second == pytest.approx(2 * small.megabytes_per_second)


@pytest.mark.parametrize("site", [site for site in SITES if site.is_one_node])
def test_what_is_worked_out_carries_the_busiest_hour(site: Site) -> None:
    """Simulated with the measured times, at no more than what the arithmetic lets cores be used."""
    scale = json.loads((ROOT / "docs/benchmarks/scale.json").read_text(encoding="utf-8"))
    demand = Demand(**scale["demand"])
    found = need(site, demand, 0.03)
    used = found.studies_per_hour / capacity_per_hour(found, demand, scale["speeds"])
    # Workers that wait for each other at the models make it somewhat more than seven tenths.
    assert used < 0.8


def test_the_page_is_fresh() -> None:
    """It says what the measurements of today say."""
    written = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    assert written == sizing.page(), "run `python -m benchmarks.sizing`"
