"""Probes: what each asks and how it answers."""

from __future__ import annotations

from pathlib import Path

from node.settings import load_settings
from node.web.app import create_app
from tests.unit.node.web.conftest import Client


def test_live_asks_nothing(tmp_path: Path) -> None:
    """A process without a database is alive: restarting it would not help."""
    client = Client(create_app(load_settings(state_dir=tmp_path)))
    assert client.get("/health/live").json() == {"ok": True}


def test_startup_waits_for_the_migrations(tmp_path: Path, client: Client) -> None:
    """An empty database is not started and says what to run; a migrated one is."""
    fresh = Client(create_app(load_settings(state_dir=tmp_path / "fresh")))
    answer = fresh.get("/health/startup")
    assert answer.status_code == 503
    assert "sentinode db upgrade" in answer.json()["checks"][0]["text"]
    assert client.get("/health/startup").status_code == 200
