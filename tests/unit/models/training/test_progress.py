"""What training tells the person who waits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.training.progress import Progress, time_left


def test_time_left_is_said_in_the_unit_that_fits() -> None:
    """Seconds, minutes, hours; nothing is promised before the first step."""
    assert time_left(0.0, 5.0) == "time left not known yet"
    assert time_left(0.5, 30.0) == "30 s left"
    assert time_left(0.25, 600.0) == "30 min left"
    assert time_left(0.1, 3600.0) == "9 h 00 min left"


def test_lines_come_seldom_where_nobody_watches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal: one line for steps within ten seconds, every event, all as JSON too."""
    progress = Progress(tmp_path / "log.jsonl", "name")
    for step in range(5):
        progress.line(step, 0.5, 60.0, {"loss": 1.5})
    progress.event("validation", auc=0.75)
    progress.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "[name]  50%, 1 min left, step 0 loss 1.5"
    assert lines[1] == "[name] validation: auc 0.75"
    kinds = [json.loads(row)["kind"] for row in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert kinds == ["train", "validation"]
