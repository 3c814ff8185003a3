"""The connection is lost in the very commit: nobody can say at once whether it happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine.default import DefaultDialect

from node.instance import Claim, Inbox, Outcome, Reception, recover
from node.routes import load_routes
from node.settings import load_settings
from node.store.files import Files
from node.store.session import open_store
from node.store.spool import Spool
from tests.faults.test_kill_steps import LARGE, prepared
from tests.peers.pipelining import MAMMOGRAPHY
from tests.peers.postgresql import Postgresql
from tests.stored import Objects, Sent, assert_sound, temporary_files

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


class LostCommit:
    """Loses the first commit: the server ends the connection before it, or after it."""

    def __init__(self, url: str, happened: bool) -> None:
        self._url = url.replace("+psycopg", "")
        self._happened = happened
        self._commit = DefaultDialect.do_commit
        self.lost = 0

    def __call__(self, dialect: Any, connection: Any) -> None:
        """Commit, unless it is the first."""
        if self.lost:
            return self._commit(dialect, connection)
        driver = connection.dbapi_connection
        self.lost = driver.info.backend_pid
        if self._happened:
            self._commit(dialect, connection)
        with psycopg.connect(self._url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [self.lost])
        driver.execute("SELECT 1")
        return None


@pytest.fixture
def values(tmp_path: Path, postgresql: Postgresql) -> dict[str, Any]:
    """Settings of a store on PostgreSQL."""
    return prepared(tmp_path, database_url=postgresql.new_database())


@pytest.fixture
def reception(values: dict[str, Any]) -> Iterator[Reception]:
    """What an inbox needs."""
    settings = load_settings(**values)
    files, store = Files(settings.state_dir), open_store(settings)
    files.prepare()
    yield Reception(settings, store, files, load_routes(None))
    store.close()


def received(inbox: Inbox, one: Sent) -> Outcome:
    """Put one object through the inbox."""
    claim = Claim(
        MAMMOGRAPHY, one.sop_instance_uid, EXPLICIT_LITTLE_ENDIAN, "MODALITY", "127.0.0.1"
    )
    incoming = inbox.open(claim)
    incoming.write(one.content)
    return inbox.settle([incoming])[0]


@pytest.mark.parametrize("happened", [False, True])
def test_lost_commit_is_tried_again(
    happened: bool,
    values: dict[str, Any],
    reception: Reception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The instance is stored once, whichever it was; recovery removes the name in doubt."""
    one, spool = Objects(LARGE).new(), Spool(reception.files.incoming)
    inbox = Inbox(reception, spool)
    lost = LostCommit(values["database_url"], happened)
    monkeypatch.setattr(DefaultDialect, "do_commit", lambda *given: lost(*given))
    outcome = received(inbox, one)
    assert lost.lost
    assert (outcome.status, outcome.kind) == (0x0000, "same" if happened else "new")
    # Until a restart the name in doubt stays in the spool: only then nobody can still commit it.
    assert len(temporary_files(values["state_dir"])) == 1
    spool.close()
    assert recover(reception) == 1
    assert_sound(values, [one])
