"""SQLite's log has its full length before the first commit, and nothing is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from node.settings import load_settings
from node.store import write_ahead
from node.store.migrate import upgrade
from node.store.session import LOG_PAGES, Store, open_store
from node.store.write_ahead import lay_out


@pytest.fixture(autouse=True)
def _ample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a machine that is nearly full."""
    monkeypatch.setattr(write_ahead, "_AMPLE_BYTES", 1 << 25)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A migrated one."""
    settings = load_settings(state_dir=tmp_path)
    upgrade(settings)
    return open_store(settings)


def _log(store: Store) -> Path:
    return Path(f"{store.engine.url.database}-wal")


def _schema(store: Store) -> list[tuple[str, ...]]:
    with store.reading() as session:
        found = session.execute(text("SELECT name FROM sqlite_master ORDER BY name"))
        return [tuple(row) for row in found]


def test_the_log_is_laid_out(store: Store) -> None:
    """As long as it will be; the database is as it was, and takes what comes."""
    before, database = _schema(store), Path(str(store.engine.url.database))
    size_bytes = database.stat().st_size
    lay_out(store)
    length = _log(store).stat().st_size
    assert length >= LOG_PAGES * 4096
    assert _schema(store) == before
    assert database.stat().st_size == size_bytes
    with store.writing() as session:
        session.execute(text("CREATE TABLE kept (n INTEGER)"))
    assert _log(store).stat().st_size == length
    lay_out(store)
    assert ("kept",) in _schema(store)
    with store.reading() as session:
        assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    store.close()


def test_it_gives_back_what_a_long_look_made_it_grow_by(store: Store) -> None:
    """Nothing is written over that somebody still sees; afterwards the disk has its room again."""
    with store.writing() as session:
        session.execute(text("CREATE TABLE large (content BLOB)"))
    large = text("INSERT INTO large VALUES (zeroblob(4000000))")
    with store.reading() as looking:
        looking.execute(text("SELECT count(*) FROM large")).scalar()
        for _ in range(15):
            with store.writing() as session:
                session.execute(large)
        assert _log(store).stat().st_size > 56_000_000
    for _ in range(2):
        with store.writing() as session:
            session.execute(large)
    assert LOG_PAGES * 4096 < _log(store).stat().st_size < 40_000_000
    store.close()


def test_room_is_left_where_it_is_scarce(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small disk the log grows as it is needed."""
    monkeypatch.setattr(write_ahead, "_AMPLE_BYTES", 1 << 62)
    lay_out(store)
    with store.reading() as session:
        session.execute(text("SELECT 1"))
    assert not _log(store).exists() or _log(store).stat().st_size < 1 << 20
    store.close()


def test_no_room_is_no_obstacle(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be laid out is left; the store works."""
    monkeypatch.setattr(write_ahead, "_BLOB_BYTES", 1 << 40)
    monkeypatch.setattr(write_ahead, "_HELD_BACK_BYTES", 1 << 40)
    with store.reading() as session:
        usual = session.execute(text("PRAGMA cache_size")).scalar()
    lay_out(store)
    with store.writing() as session:
        session.execute(text("CREATE TABLE kept (n INTEGER)"))
        assert session.execute(text("PRAGMA cache_size")).scalar() == usual
    store.close()
