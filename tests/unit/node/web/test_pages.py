"""How values look."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from node.status import score
from node.web.pages import area, kind, moment, moving


@pytest.mark.parametrize(("value", "text"), [(0.874, "0.87"), (0.9999, "0.99"), (1.0, "1.00")])
def test_score_never_rounds_up_to_certainty(value: float, text: str) -> None:
    """0.9999 must not be shown as 1."""
    assert score(value) == text


def test_absent_values_are_dashes() -> None:
    """What is not known is not shown as a number."""
    assert (area(None), moment(None)) == ("–", "–")
    assert area(12.4) == "12 mm²"


def test_times_are_utc() -> None:
    """Objects and ISO texts of any zone look the same."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert moment(at) == moment("2026-01-02T04:04:05+01:00") == "2026-01-02 03:04:05"


def test_kinds_and_states() -> None:
    """Known kinds have words; only unfinished studies move."""
    assert kind("calcification_cluster") == "Calcification cluster"
    assert moving("queued")
    assert not moving("done")
