"""The migrations lead to the tables that the code was written for, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, UniqueConstraint, inspect
from sqlalchemy.types import TypeEngine

from node.settings import Settings, load_settings
from node.status import study_status
from node.store.migrate import upgrade
from node.store.session import Store, open_store
from node.store.tables import Base, Instance
from node.store.version import wanted_migration
from tests.peers.postgresql import Postgresql

_UID = "1.2.3"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
# A study as the first version kept it, table by table in the order in which rows refer to rows.
_FIRST: dict[str, dict[str, Any]] = {
    "study": {
        "study_uid": _UID,
        "state": "delivering",
        "revision": 1,
        "first_instance_at": _NOW,
        "last_instance_at": _NOW,
    },
    "event": {"study_uid": _UID, "revision": 1, "at": _NOW, "stage": "queued", "text": "x"},
    "instance": {
        "study_uid": _UID,
        "series_uid": "1.4",
        "sop_instance_uid": "1.5",
        "sop_class_uid": "1.6",
        "transfer_syntax_uid": "1.7",
        "path": "instances/1.2.3/1.5.dcm",
        "size_bytes": 9,
        "sha256": "a" * 64,
        "calling_ae_title": "MG",
        "peer_host": "10.0.0.1",
        "received_at": _NOW,
        "conflict": False,
        "route": "mammography",
        "models": ["mtu_net"],
        "attributes": {"Modality": "MG"},
        "revision": 1,
    },
    "job": {
        "id": 1,
        "study_uid": _UID,
        "revision": 1,
        "state": "delivering",
        "due_at": _NOW,
        "attempts": 1,
        "crashes": 0,
        "complete_at": _NOW,
    },
    "model_run": {
        "id": 1,
        "job_id": 1,
        "source_sop_uid": "1.5",
        "model": "mtu_net",
        "seconds": 1.5,
        "model_version": "1",
        "state": "succeeded",
        "probabilities": {},
    },
    "finding": {
        "model_run_id": 1,
        "number": 1,
        "kind": "mass",
        "score": 0.5,
        "box_px": [0, 0, 2, 2],
        "contour_px": [[0, 0]],
        "area_px": 4,
        "mask_png": b"png",
        "tracking_uid": "1.8",
    },
    "result": {
        "id": 1,
        "job_id": 1,
        "kind": "SEG",
        "sop_instance_uid": "1.9",
        "size_bytes": 9,
        "sop_class_uid": "1.10",
        "series_uid": "1.11",
        "path": "results/1.2.3/1/1.9.dcm",
    },
    "delivery": {"result_id": 1, "destination": "archive", "state": "pending", "attempts": 1},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a database without tables."""
    if request.param == "sqlite":
        return load_settings(state_dir=tmp_path / "state", database_url="")
    server: Postgresql = request.getfixturevalue("postgresql")
    return load_settings(state_dir=tmp_path / "state", database_url=server.new_database())


def _sql(store: Store, kind: TypeEngine[Any]) -> str:
    return kind.compile(store.engine.dialect)


def test_migrated_tables_are_those_of_the_code(store: Store) -> None:
    """Columns, their lengths, primary keys, unique constraints, indexes and foreign keys agree."""
    found = inspect(store.engine)
    for table in Base.metadata.sorted_tables:
        assert {
            column["name"]: (_sql(store, column["type"]), column["nullable"])
            for column in found.get_columns(table.name)
        } == {
            column.name: (_sql(store, column.type), column.nullable) for column in table.columns
        }, table.name
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [
            column.name for column in table.primary_key.columns
        ]
        assert {
            tuple(each["column_names"]) for each in found.get_unique_constraints(table.name)
        } == {
            tuple(column.name for column in each.columns)
            for each in table.constraints
            if isinstance(each, UniqueConstraint)
        }, table.name
        assert {
            tuple(each["column_names"])
            for each in found.get_indexes(table.name)
            if not each.get("duplicates_constraint")
        } == {tuple(column.name for column in each.columns) for each in table.indexes}, table.name
        assert {
            tuple(each["constrained_columns"]) for each in found.get_foreign_keys(table.name)
        } == {tuple(each.column_keys) for each in table.foreign_key_constraints}, table.name


def test_rows_of_the_first_version_come_along(empty: Settings) -> None:
    """A study that the first version was delivering when it was stopped is all there."""
    assert upgrade(empty, "0001") == "0001"
    store = open_store(empty)
    first = MetaData()
    first.reflect(store.engine)
    with store.committing() as connection:
        for name, row in _FIRST.items():
            connection.execute(first.tables[name].insert().values(row))
    assert upgrade(empty) == wanted_migration()
    with store.reading() as session:
        found = study_status(session, _UID)
        kept = session.query(Instance).one()
        assert (kept.pack_offset, kept.content) == (None, None)
    store.close()
    assert (found["state"], found["instances"], len(found["findings"])) == ("delivering", 1, 1)
    [result] = found["results"]
    assert (result["destination"], result["state"]) == ("archive", "pending")
    # What its digest covers is the whole file.
    assert (kept.digest, kept.dataset_offset) == (f"sha256:{'a' * 64}", 0)


@pytest.mark.parametrize("round_", range(3))
def test_two_that_upgrade_at_once(empty: Settings, round_: int) -> None:
    """Two replicas, or an impatient person: both end well, and the tables are made once."""
    with ThreadPoolExecutor(4) as several:
        upgrades = [several.submit(upgrade, empty) for _ in range(4)]
    assert [each.result() for each in upgrades] == [wanted_migration()] * 4


def test_the_database_is_for_nobody_else(tmp_path: Path) -> None:
    """Small objects and identities stand in it: other accounts of the machine see none of it."""
    settings = load_settings(state_dir=tmp_path / "state", database_url="")
    upgrade(settings)
    file = open_store(settings).file
    assert file is not None
    for path in (settings.state_dir, file):
        assert path.stat().st_mode & 0o007 == 0, path


def test_an_instance_is_looked_up_by_an_index(store: Store) -> None:
    """The question that every C-STORE asks does not read the table."""
    if store.engine.dialect.name != "sqlite":
        # PostgreSQL scans a small table whatever its indexes are.
        return
    with store.engine.connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT digest, route FROM instance WHERE sop_instance_uid = 'x'"
        ).all()
    assert "USING INDEX" in str(plan)


@pytest.mark.parametrize(
    ("question", "answered_by"),
    [
        ("SELECT count(*), sum(size_bytes) FROM instance", "ix_instance_study_uid_size_bytes"),
        (
            "SELECT model, state, count(*), sum(seconds) FROM model_run GROUP BY model, state",
            "ix_model_run_model_state_seconds",
        ),
        ("SELECT 1 FROM delivery WHERE state != 'asked' AND due_at > 'x'", "ix_delivery_due_at"),
    ],
)
def test_what_is_asked_all_the_time_reads_no_table(
    tmp_path: Path, question: str, answered_by: str
) -> None:
    """A scrape, and the sweeper every second: with a million instances each took seconds."""
    settings = load_settings(state_dir=tmp_path / "state", database_url="")
    upgrade(settings)
    store = open_store(settings)
    with store.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {question}").all()
    store.close()
    assert answered_by in str(plan)
