"""Heartbeats and the checks that need no peer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pynetdicom import AE, VerificationPresentationContexts
from sqlalchemy import select

from node.health import (
    FRESH_SECONDS,
    check_beat,
    check_disk,
    check_echo,
    check_migrations,
    check_receiver,
)
from node.process import beat
from node.settings import load_settings
from node.store.files import Files
from node.store.session import Store, open_store
from node.store.tables import Process
from tests.peers.ports import free_port


def _age(store: Store, name: str, seconds: float) -> None:
    with store.writing() as session:
        session.get_one(Process, name).beat_at = datetime.now(UTC) - timedelta(seconds=seconds)


def test_a_process_has_one_row_however_often_it_beats(store: Store) -> None:
    """Beating again moves the time only."""
    for _ in range(3):
        beat(store, "sweep@a:1", "sweep")
    with store.reading() as session:
        row = session.scalars(select(Process)).one()
    assert row.role == "sweep"
    assert row.started_at <= row.beat_at


def test_one_fresh_process_of_a_role_suffices(store: Store) -> None:
    """A role fails when all of its processes are silent, and says since when."""
    assert "start `sentinode run sweep`" in check_beat(store, "sweep").text
    beat(store, "sweep@a:1", "sweep")
    beat(store, "sweep@b:1", "sweep")
    _age(store, "sweep@a:1", FRESH_SECONDS + 1)
    assert check_beat(store, "sweep").ok
    _age(store, "sweep@b:1", FRESH_SECONDS + 70)
    check = check_beat(store, "sweep")
    assert not check.ok
    assert check.text == "last beat 31 s ago"


def test_a_database_without_tables_is_told_once(tmp_path: Path) -> None:
    """Of the processes nothing is known then; "does not answer" would send people after it."""
    store = open_store(load_settings(state_dir=tmp_path))
    check = check_beat(store, "sweep")
    assert (check.ok, check.text) == (False, "unknown; see what is said of the database")
    store.close()


def test_a_receiver_with_tls_alone_is_judged_by_its_beat(store: Store, tmp_path: Path) -> None:
    """There is no plain port to ask: a healthy node said 503 for ever."""
    files = {"dicom_tls_certificate": tmp_path / "node.crt", "dicom_tls_key": tmp_path / "node.key"}
    settings = load_settings(dicom_plain=False, dicom_tls_port=2762, dicom_port=1, **files)
    beat(store, "receive@here:1", "receive")
    check = check_receiver(store, settings)
    assert check.ok
    assert "last beat" in check.text


@pytest.mark.parametrize(
    ("busy", "allowed", "text"),
    [
        (True, [], "has as many associations as it may"),
        (False, ["OTHER"], "refuses the node's own AE title"),
    ],
)
def test_a_rejection_is_told_as_what_it_is(busy: bool, allowed: list[str], text: str) -> None:
    """Either way somebody listens."""
    entity, port = AE("SENTINODE"), free_port()
    entity.maximum_associations, entity.require_calling_aet = 1, allowed
    entity.supported_contexts = entity.requested_contexts = VerificationPresentationContexts
    server = entity.start_server(("127.0.0.1", port), block=False)
    holder = entity.associate("127.0.0.1", port) if busy else None
    check = check_echo(load_settings(dicom_port=port))
    assert check.ok
    assert text in check.text
    if holder is not None:
        holder.release()
    assert server is not None
    server.shutdown()


def test_processes_of_yesterday_are_forgotten(store: Store) -> None:
    """Rows of containers that are gone do not pile up."""
    beat(store, "worker@gone:1", "worker")
    _age(store, "worker@gone:1", 90_000)
    beat(store, "worker@here:1", "worker")
    with store.reading() as session:
        assert session.scalars(select(Process.name)).all() == ["worker@here:1"]


def test_tables_of_this_version_are_well(store: Store, tmp_path: Path) -> None:
    """A migrated database passes; an empty one is told what to run."""
    assert check_migrations(store).ok
    empty = Store(f"sqlite:///{tmp_path / 'empty.db'}")
    assert "db upgrade" in check_migrations(empty).text
    empty.close()


def test_database_that_cannot_be_opened_is_a_result(tmp_path: Path) -> None:
    """Checks answer, they do not raise, and they name no path."""
    gone = Store(f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    for check in (check_migrations(gone), check_beat(gone, "worker")):
        assert not check.ok
        assert str(tmp_path) not in check.text
    gone.close()


def test_full_disk_fails(tmp_path: Path) -> None:
    """Less free space than wanted, or no state directory at all, is not well."""
    files = Files(tmp_path)
    assert check_disk(files, 0).ok
    assert not check_disk(files, 1 << 60).ok
    assert not check_disk(Files(tmp_path / "missing"), 0).ok
