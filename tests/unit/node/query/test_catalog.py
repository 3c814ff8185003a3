"""C-FIND asks the database for one page, not for the whole store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom.dataelem import DataElement
from sqlalchemy import event

from node.query.catalog import find
from node.query.levels import Query
from node.query.matching import matching_key
from node.settings import load_settings
from node.store.files import Files
from node.store.migrate import upgrade
from node.store.session import open_store
from node.store.tables import Series, Study


def test_modalities_are_looked_up_study_by_study(tmp_path: Path) -> None:
    """By the index of modalities, each page would cost a look through all mammograms."""
    settings, now = load_settings(state_dir=tmp_path), datetime.now(UTC)
    upgrade(settings)
    store = open_store(settings)
    with store.writing() as session:
        session.add(
            Study(study_uid="1.2", state="done", first_instance_at=now, last_instance_at=now)
        )
        session.add(Series(study_uid="1.2", series_uid="1.3", Modality="MG"))
    asked: list[tuple[str, Any]] = []
    event.listen(store.engine, "before_cursor_execute", lambda *a: asked.append((a[2], a[3])))
    key = matching_key(DataElement("ModalitiesInStudy", "CS", "MG"))
    list(find(Query("STUDY", {"ModalitiesInStudy": key}, ()), store, Files(tmp_path)))
    statement, parameters = asked[0]
    with store.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        steps = [row[-1] for row in plan]
    assert any("CORRELATED" in step for step in steps)
    assert not any("ix_series_Modality" in step for step in steps), steps
    store.close()
