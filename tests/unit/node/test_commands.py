"""Commands for people and containers: the database, waited for and upgraded."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from node import commands
from node.commands import upgrade_database, wait_for_database
from node.errors import ConfigurationError


@pytest.fixture(autouse=True)
def empty_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder whose database has no tables, and no patience between two looks."""
    monkeypatch.setenv("SENTINODE_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("SENTINODE_DATABASE_URL", raising=False)
    monkeypatch.setattr(commands, "_WAIT_SECONDS", 0.05)


def test_waiting_ends_with_the_upgrade() -> None:
    """A process that waits goes on as soon as somebody has made the tables."""
    waiting = CliRunner()
    upgrading = threading.Timer(0.3, lambda: upgrade_database.callback())  # type: ignore[misc]
    upgrading.start()
    outcome = waiting.invoke(wait_for_database, ["--seconds", "30"])
    upgrading.join()
    assert outcome.exit_code == 0, outcome.output
    assert "run `sentinode db upgrade`" in outcome.output


def test_waiting_ends_with_its_time() -> None:
    """Nobody makes the tables: the error says what to run."""
    outcome = CliRunner().invoke(wait_for_database, ["--seconds", "0"])
    assert isinstance(outcome.exception, ConfigurationError)
    assert "run `sentinode db upgrade`" in str(outcome.exception)
