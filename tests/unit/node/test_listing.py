"""The study list: order, filter, pages, counts."""

from __future__ import annotations

from sqlalchemy import update

from node.listing import PAGE_SIZE, list_studies
from node.store.runs import DECLINED
from node.store.session import Store
from node.store.tables import ModelRun
from tests.unit.node.web.rows import add_study, study_uid


def test_newest_study_comes_first(store: Store) -> None:
    """The list is ordered by the last image, newest first, and counts findings."""
    for number in (1, 2, 3):
        add_study(store, number, failed_run="no memory" if number == 2 else None)
    with store.reading() as session:
        found = list_studies(session)
    assert [line.study_uid for line in found.lines] == [study_uid(n) for n in (3, 2, 1)]
    assert [line.findings for line in found.lines] == [1, 0, 1]
    assert [line.failed_runs for line in found.lines] == [0, 1, 0]
    assert [line.instances for line in found.lines] == [1, 1, 1]


def test_a_model_that_declines_an_image_has_not_failed(store: Store) -> None:
    """It has answered; nobody need look after it."""
    add_study(store, 1)
    with store.writing() as session:
        session.execute(update(ModelRun).values(state=DECLINED))
    with store.reading() as session:
        (line,) = list_studies(session).lines
    assert line.failed_runs == 0


def test_state_filters_and_counts_stay(store: Store) -> None:
    """A filter shows one state; the counts are those of all."""
    add_study(store, 1, state="done")
    add_study(store, 2, state="failed", error="refused")
    with store.reading() as session:
        found = list_studies(session, "failed")
    assert [line.error for line in found.lines] == ["refused"]
    assert found.counts == {"done": 1, "failed": 1}


def test_pages_cover_every_study_once(store: Store) -> None:
    """Two pages hold all studies; beyond them there is nothing."""
    for number in range(PAGE_SIZE + 1):
        add_study(store, number)
    with store.reading() as session:
        pages = [list_studies(session, page=number) for number in (1, 2, 3)]
    seen = [line.study_uid for page in pages for line in page.lines]
    assert len(seen) == len(set(seen)) == PAGE_SIZE + 1
    assert [len(page.lines) for page in pages] == [PAGE_SIZE, 1, 0]
    assert pages[0].pages == 2
