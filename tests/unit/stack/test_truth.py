"""The demo's comparison with what was drawn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from phantoms.dataset import ImageTruth, TruthLesion
from stack.truth import lesion_under, table

MASS = TruthLesion("mass", "spiculated", True, (100, 200, 140, 260), 210.0, Path("mask.png"))
TRUTH = {
    "1.2.3": ImageTruth("1.2.3", "malignant", "MG", "L", "CC", (500, 400), (0.07, 0.07), (MASS,))
}


def _finding(**changed: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "model_version": "1",
        "source_sop_uid": "1.2.3",
        "kind": "mass",
        "code": {"meaning": "Mass"},
        "laterality": "L",
        "view": "CC",
        "score": 0.9,
        "box_px": [105, 210, 150, 250],
        "area_mm2": 200.0,
        **changed,
    }


def test_a_finding_on_a_lesion_of_its_kind_is_right() -> None:
    """Either box may hold the other's centre."""
    assert lesion_under(_finding(), TRUTH) is MASS
    assert lesion_under(_finding(box_px=[0, 0, 400, 500]), TRUTH) is MASS


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "calcification_cluster"},
        {"box_px": [300, 300, 320, 320]},
        {"source_sop_uid": "1.2.4"},
    ],
)
def test_anything_else_is_not(changed: dict[str, Any]) -> None:
    """Another kind, another place, another image."""
    assert lesion_under(_finding(**changed), TRUTH) is None


def test_the_table_counts_each_drawn_lesion_once() -> None:
    """Two findings on one lesion find one lesion."""
    shown = table({"findings": [_finding(), _finding(score=0.5)]}, TRUTH)
    assert shown.row_count == 2
    assert shown.caption == "1 of 1 drawn lesions found"


def test_the_table_says_where_nothing_was_drawn() -> None:
    """A false positive is visible as such."""
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table({"findings": [_finding(source_sop_uid="1.2.4")]}, TRUTH))
    assert "nothing" in console.export_text()
