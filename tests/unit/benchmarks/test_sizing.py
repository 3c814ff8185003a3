"""The arithmetic of sizing, worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.sizing import Site, need


def test_a_site_of_round_numbers() -> None:
    """10,000 studies in 2,000 hours are 10 in the busiest hour; 360 s each keep one core busy."""
    found = need(Site("x", 10_000), study_core_seconds=360.0, image_core_seconds=0.05, rows=36)
    assert found.studies_per_hour == pytest.approx(10)
    # One core busy, at seven tenths: two.
    assert found.analysing_cores == 2
    assert found.images_per_second == pytest.approx(40 / 3600)
    assert found.receiving_cores == 1
    assert found.rows_per_second == pytest.approx(0.1)
    assert found.terabytes_per_year == pytest.approx(1.08)


def test_twice_the_studies_are_twice_the_cores() -> None:
    """The model is linear: nothing in a node is shared by its sites."""
    small, large = (need(Site("x", count), 20.0, 0.04, 40) for count in (1_000_000, 2_000_000))
    assert large.analysing_cores == pytest.approx(2 * small.analysing_cores, abs=1)
    assert large.megabytes_per_second == pytest.approx(2 * small.megabytes_per_second)
