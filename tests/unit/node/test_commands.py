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


@pytest.mark.parametrize("days", ["0", "-1", "0.5", "800000"])
def test_days_that_are_none_remove_nothing(days: str) -> None:
    """An error of usage, before the database is opened."""
    outcome = CliRunner().invoke(commands.expire, ["--days", days])
    assert outcome.exit_code == 2
    assert "--days" in outcome.output


def test_a_study_that_is_removed_meanwhile_holds_up_no_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of all that a destination did not get, the others are tried again."""
    upgrade_database.callback()  # type: ignore[misc]
    monkeypatch.setattr(commands, "studies_with_dead_letters", lambda *_: ["2.25.1"])
    outcome = CliRunner().invoke(commands.retry, ["--destination", "archive"])
    assert outcome.exit_code == 0, outcome.exception
    assert "0 of 1 studies queued" in outcome.output
