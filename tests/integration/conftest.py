"""Stores on both databases: every test that takes `settings` or `store` runs on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.settings import Settings, load_settings
from node.store.migrate import upgrade
from node.store.session import Store, open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database: "" is SQLite in the state directory."""
    if request.param == "sqlite":
        return ""
    return str(request.getfixturevalue("postgresql").new_database())


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings of a migrated database, with short times."""
    settings = load_settings(
        state_dir=tmp_path / "state",
        database_url=database_url,
        study_quiet_seconds=30,
        study_max_seconds=100,
        study_ready_seconds=2,
        lease_seconds=30,
        min_free_bytes=0,
    )
    upgrade(settings)
    return settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The open store."""
    store = open_store(settings)
    yield store
    store.close()
