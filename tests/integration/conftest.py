"""Stores on both databases: every test that takes `settings` or `store` can run on each."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.settings import Settings, load_settings
from node.store.migrate import upgrade
from node.store.session import Store, open_store
from tests.analysed import Analysed
from tests.peers.postgresql import Postgresql

DATABASES = ("sqlite", "postgresql")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave each test one of the two databases, half of them either; both: make test-databases.

    Which one follows from its name, so that it stays the same.
    """
    if "SENTINODE_BOTH_DATABASES" in os.environ:
        return
    config.hook.pytest_deselected(items=[item for item in items if _is_left_out(item)])
    items[:] = [item for item in items if not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    # Of the other folders' tests too, some of whose values are arrays.
    if callspec is None or not item.path.is_relative_to(Path(__file__).parent):
        return False
    texts = (each for each in callspec.params.values() if isinstance(each, str))
    database = next((each for each in texts if each in DATABASES), None)
    if database is None:
        return False
    name = item.nodeid.replace(database, "")
    return DATABASES[zlib.crc32(name.encode()) % 2] != database


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database: "" is SQLite in the state directory."""
    if request.param == "sqlite":
        return ""
    return str(request.getfixturevalue("postgresql").new_database())


@pytest.fixture
def postgresql_node(postgresql: Postgresql, tmp_path: Path) -> Iterator[Analysed]:
    """A node on PostgreSQL, without processes."""
    settings = load_settings(
        state_dir=tmp_path / "state",
        database_url=postgresql.new_database(),
        min_free_bytes=0,
        lease_seconds=30,
    )
    upgrade(settings)
    store = open_store(settings)
    yield Analysed(settings, store)
    store.close()


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
