"""Probes: what each asks and how it answers."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from node.settings import load_settings
from node.store.session import Store
from node.store.tables import DestinationState
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


def test_people_get_a_page(client: Client, store: Store) -> None:
    """What is wrong, what each part is for, the version, and archives that are away."""
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with store.writing() as session:
        away = DestinationState(name="pacs", failures=3, failing_since=since, due_at=since)
        away.error = "does not answer"
        session.add(away)
    page = client.get("/health").text
    for text in (" of 6 wrong", "no such process yet", "Takes images from modalities."):
        assert text in page
    for text in ("pacs", "2026-01-02 03:04:05", "does not answer"):
        assert text in page
    assert f"Sentinode {version('sentinode')}" in page


def test_people_get_a_page_without_a_database(tmp_path: Path) -> None:
    """It is then that they look."""
    client = Client(create_app(load_settings(state_dir=tmp_path / "fresh")))
    answer = client.get("/health")
    assert answer.status_code == 200
    assert "no tables yet" in answer.text
