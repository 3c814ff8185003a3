"""Medians and ratios, and the page made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.measure import Cell, Measurement
from benchmarks.summary import Row, median, order, ratios, rows


def rate(objects_per_second: float) -> Measurement:
    """A measurement that matters for its rate alone."""
    return Measurement(objects_per_second=objects_per_second)


def test_ratio_is_the_median_within_rounds() -> None:
    """A round in which everything was slow counts as any other."""
    rounds = [
        {"sentinode": rate(400), "orthanc": rate(100)},
        {"sentinode": rate(40), "orthanc": rate(10)},
        {"sentinode": rate(900), "orthanc": rate(100)},
    ]
    assert ratios("sentinode", rounds) == {"orthanc": 4.0}


def test_no_ratio_to_what_was_rejected() -> None:
    """A reference that took no association gives no ratio."""
    rounds = [{"sentinode": rate(400), "storescp": Measurement(rejected="no")}]
    assert ratios("sentinode", rounds) == {}


def test_one_rejected_round_rejects_the_variant() -> None:
    """A median over runs that did not happen would be invented."""
    assert median([rate(1), Measurement(rejected="9 of 16"), rate(3)]).rejected == "9 of 16"


def test_median_of_each_figure() -> None:
    """Every figure has its own median."""
    found = median([Measurement(p50_ms=ms, objects=number) for ms, number in ((1, 9), (5, 7))])
    assert (found.p50_ms, found.objects) == (3, 8)


def test_every_variant_begins_a_round_in_turn() -> None:
    """No variant always follows the same one at the same place."""
    names = ["a", "b", "c"]
    assert [order(names, number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert all(sorted(order(names, number)) == names for number in range(4))


@pytest.fixture
def report() -> page.Report:
    """A comparison of two variants, one of them rejected at 16 associations."""
    taken = {"sentinode": rate(412.3), "orthanc": rate(100)}
    rejected = {"sentinode": rate(812.3), "pynetdicom": Measurement(rejected="9 of 16")}
    found: list[Row] = rows(Cell("10kB", 1), [taken]) + rows(Cell("10kB", 16), [rejected])
    return page.Report("python -m ...", 1, 0.2, 2, False, {}, {}, {}, found)


def test_page_has_a_line_per_variant(report: page.Report) -> None:
    """Figures, ratios and the reason of a rejection are on the page."""
    text = page.page(report, "receive.png")
    assert "| Sentinode, SQLite | 412 |" in text
    assert "| 4.12 |" in text
    assert "| pynetdicom storescp | rejected |" in text
    assert "9 of 16" in text
    assert "16 associations" in text


def test_page_picture_and_json_are_written(report: page.Report, tmp_path: Path) -> None:
    """All three stand beside each other; the JSON keeps every round."""
    path = tmp_path / "docs" / "receive.json"
    page.write(report, path)
    kept = json.loads(path.read_text())
    assert kept["rows"][0]["rounds"][0]["objects_per_second"] == 412.3
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert path.with_suffix(".md").is_file()
