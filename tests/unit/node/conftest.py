"""What tests of the node's modules may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.settings import load_settings
from node.store.migrate import upgrade
from node.store.session import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store on SQLite with the newest tables."""
    settings = load_settings(state_dir=tmp_path)
    upgrade(settings)
    store = open_store(settings)
    yield store
    store.close()
