"""The status object: its content is seen on the pages; here, what it costs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, select

from node.status import study_status
from node.store.session import Store
from node.store.tables import Delivery, Job, ModelRun, Result
from tests.unit.node.web.rows import add_study, study_uid


def _queries(store: Store) -> int:
    """How many one status takes."""
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    event.listen(store.engine, "after_cursor_execute", note)
    with store.reading() as session:
        study_status(session, study_uid())
    event.remove(store.engine, "after_cursor_execute", note)
    return count


def test_a_large_study_takes_no_more_queries(store: Store) -> None:
    """A thousand runs and results were a thousand queries, for each look at the page."""
    add_study(store)
    few = _queries(store)
    with store.writing() as session:
        job = session.scalars(select(Job)).one()
        for number in range(50):
            uid = f"1.2.3.{number}"
            run = ModelRun(source_sop_uid=uid, model="resnet50", model_version="1", seconds=1.0)
            run.state, run.probabilities = "succeeded", {}
            job.model_runs.append(run)
            result = Result(kind="SEG", sop_instance_uid=uid, sop_class_uid="1.2", series_uid="1.3")
            result.path, result.size_bytes = "none", 1
            result.deliveries = [Delivery(destination="pacs", state="pending")]
            job.results.append(result)
    assert _queries(store) == few
