"""Health checks of containers: each says what is wrong, and nothing when all is well."""

from __future__ import annotations

import os
import time
from pathlib import Path

from click.testing import CliRunner

from node.probe import beat_fault, probe


def test_heartbeat_is_fresh_stale_or_missing(tmp_path: Path) -> None:
    """A file touched now is well, one of two minutes ago is not, and none is none."""
    beat = tmp_path / "beat"
    assert "no heartbeat yet" in str(beat_fault(beat))
    beat.touch()
    assert beat_fault(beat) is None
    then = time.time() - 120
    os.utime(beat, (then, then))
    assert beat_fault(beat) == "last heartbeat 120 s ago"


def test_probe_names_what_is_wrong(tmp_path: Path) -> None:
    """Exit status 1 and one line for a worker that has never beaten; 0 for one that has."""
    beat = tmp_path / "beat"
    failed = CliRunner().invoke(probe, ["worker", "--file", str(beat)])
    assert (failed.exit_code, failed.output.count("\n")) == (1, 1)
    beat.touch()
    assert CliRunner().invoke(probe, ["worker", "--file", str(beat)]).exit_code == 0
