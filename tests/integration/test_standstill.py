"""Processes that stand still within a transaction, and databases that are gone without a word."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

import node.store.session as node_session
from node.job import utc_now
from node.settings import Settings, load_settings
from node.store.migrate import upgrade
from node.store.session import Store, open_store
from node.store.tables import Series, Study
from node.store.version import wanted_migration
from tests.datasets import mammogram
from tests.peers.postgresql import Postgresql
from tests.receiving import Receiving

UID = "1.2.3"
# Takes the lock of a study, and is then stopped as by SIGSTOP, a freezer or a pause of its machine.
_STILL = """
import os, signal, sys
import node.store.session as session_module
session_module._STILL_SECONDS = float(sys.argv[2])
from sqlalchemy import text
store = session_module.Store(sys.argv[1])
with store.writing() as session:
    session.execute(text("UPDATE study SET error = 'still' WHERE study_uid = '1.2.3'"))
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.fixture
def settings(postgresql: Postgresql) -> Settings:
    """Settings of a database with one study; SQLite lets nobody write meanwhile anyway."""
    settings = load_settings(database_url=postgresql.new_database())
    upgrade(settings)
    return settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The open store."""
    store = open_store(settings)
    times = {"first_instance_at": utc_now(), "last_instance_at": utc_now()}
    with store.writing() as session:
        session.add(Study(study_uid=UID, state="done", **times))
    yield store
    store.close()


@contextmanager
def standing_still(settings: Settings, seconds: int) -> Iterator[Popen[bytes]]:
    """A process that does, for the length of the block."""
    argv = [sys.executable, "-c", _STILL, settings.database, str(seconds)]
    with Popen(argv, stderr=subprocess.PIPE) as process:
        try:
            _wait_until_stopped(process)
            yield process
        finally:
            process.kill()


def _wait_until_stopped(process: Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        with open(f"/proc/{process.pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "T":
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_loses_its_locks(settings: Settings, store: Store) -> None:
    """PostgreSQL ends its transaction; others go on, and it finds out when it wakes."""
    with standing_still(settings, 2) as process:
        began = time.monotonic()
        with store.writing() as session:
            study = session.scalars(select(Study).with_for_update()).one()
            assert study.error is None
        assert time.monotonic() - began < 20
        process.send_signal(signal.SIGCONT)
        _, told = process.communicate(timeout=20)
    assert b"idle-in-transaction" in told


def test_nobody_waits_for_it_for_ever(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that waits for a lock ends with an error, as on SQLite, and is made again."""
    monkeypatch.setattr(node_session, "_LOCK_SECONDS", 1)
    impatient = open_store(settings)
    with (
        standing_still(settings, 60),
        pytest.raises(OperationalError, match="lock timeout"),
        impatient.writing() as session,
    ):
        session.scalars(select(Study).with_for_update()).one()
    impatient.close()


def test_an_upgrade_waits_for_as_long_as_it_takes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one may be at it for many minutes."""
    monkeypatch.setattr(node_session, "_LOCK_SECONDS", 1)
    other = open_store(settings)
    with ThreadPoolExecutor(1) as threads:
        with other.writing() as session:
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x53454E54})
            upgrading = threads.submit(upgrade, settings)
            with pytest.raises(TimeoutError):
                upgrading.result(3)
        assert upgrading.result(30) == wanted_migration()
    other.close()


def test_what_the_url_says_wins(settings: Settings) -> None:
    """Of how long a network may be silent; without it the node's own hold."""
    for query, expected in (("", 30000), ("?tcp_user_timeout=5000", 5000)):
        opened = Store(f"{settings.database}{query}")
        with opened.engine.connect() as connection:
            driver_connection = connection.connection.driver_connection
            assert driver_connection is not None
            with socket.socket(fileno=os.dup(driver_connection.fileno())) as line:
                assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == expected
                assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        opened.close()


def test_a_server_that_lacks_the_last_commits(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    """As after a failover: what comes next finds its series made again, not taken for known."""
    node = Receiving(
        settings.model_copy(update={"state_dir": tmp_path, "min_free_bytes": 0}), store
    )
    first = mammogram()
    second = mammogram(first.StudyInstanceUID)
    third = mammogram(first.StudyInstanceUID)
    third.SeriesInstanceUID = second.SeriesInstanceUID
    assert node.settle([first]) == node.settle([second]) == ["new"]
    lost = {"uid": second.SeriesInstanceUID}
    with store.engine.connect() as other, other.begin():
        for table in ("instance", "series"):
            other.execute(text(f"DELETE FROM {table} WHERE series_uid = :uid"), lost)
        others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()"
        )
        other.execute(text(f"{others} AND datname = current_database()"))
    node.settle([third])
    assert node.settle([third]) == ["same"]
    with store.reading() as session:
        assert session.get(Series, (first.StudyInstanceUID, second.SeriesInstanceUID)) is not None
