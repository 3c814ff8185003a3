"""Studies that nothing can be made of: they hold up no other one."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from node import completion
from node.job import RUNNING, SKIPPED, claim, hold, move
from node.routes import Routes
from node.settings import Settings
from node.store.session import Store
from node.store.tables import Instance, Study
from tests.datasets import mammogram
from tests.receiving import Receiving


@pytest.fixture
def node(settings: Settings, store: Store) -> Receiving:
    """A node without processes."""
    return Receiving(settings, store)


def test_a_study_that_cannot_be_completed_holds_up_no_other(
    node: Receiving, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at again later, and says why; the others have their jobs."""
    faulty, *others = [mammogram() for _ in range(3)]
    for image in (faulty, *others):
        node.receive(image)

    def leave_out(members: Sequence[Instance], routes: Routes) -> None:
        if members[0].study_uid == faulty.StudyInstanceUID:
            raise ValueError("a fault of ours")

    monkeypatch.setattr(completion, "leave_out_superfluous", leave_out)
    assert len(node.sweep(1000)) == len(others)
    with store.reading() as session:
        study = session.get_one(Study, faulty.StudyInstanceUID)
        assert study.error == (
            "it cannot be completed: unexpected ValueError; see the sweeper's log"
        )
    monkeypatch.undo()
    assert node.sweep(1000) == []
    assert len(node.sweep(1061)) == 1


def test_a_study_of_twins_alone_is_skipped_with_its_reason(node: Receiving, store: Store) -> None:
    """One SOP Instance UID in two studies, as copies and faulty devices make it."""
    first = mammogram()
    node.receive(first)
    twin = mammogram()
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
    assert node.receive(twin) == "conflict"
    node.receive(mammogram())
    assert len(node.sweep(1000)) == 2
    with store.reading() as session:
        study = session.get_one(Study, twin.StudyInstanceUID)
        assert study.state == SKIPPED
        assert study.error == "every object conflicts with an earlier one of the same UID"
        assert session.scalars(select(Study).where(Study.deadline_at.is_not(None))).all() == []


def test_many_objects_of_one_uid_cost_no_memory(node: Receiving) -> None:
    """A faulty device gives all of its images one UID; each that came read all before it."""
    image = mammogram(size_px=(200, 150))
    for number in range(100):
        image.InstanceNumber = str(number)
        node.receive(image)
    image.InstanceNumber = "100"
    tracemalloc.start()
    assert node.receive(image) == "conflict"
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20 * len(image.PixelData)


def test_a_lost_file_that_comes_twice_at_once_is_stored_once(node: Receiving) -> None:
    """The second of the same moment is compared with the first, not with what is gone."""
    image = mammogram(size_px=(1024, 800))
    node.receive(image)
    (folder,) = (node.files.root / "instances").iterdir()
    for path in folder.iterdir():
        path.unlink()
    assert node.settle([image, image]) == ["same", "same"]
    assert len(list(folder.iterdir())) == 1


def test_a_study_that_somebody_is_writing_to_holds_up_no_other(
    node: Receiving, store: Store
) -> None:
    """A receiver that stands still in its transaction has one study; the others are completed."""
    if store.engine.dialect.name == "sqlite":
        return  # one writer at a time: there is no such thing
    stuck, *others = [mammogram() for _ in range(3)]
    for image in (stuck, *others):
        node.receive(image)
    with store.writing() as still:
        still.get_one(Study, stuck.StudyInstanceUID, with_for_update=True)
        began = time.monotonic()
        assert len(node.sweep(1000)) == len(others)
        assert time.monotonic() - began < 20
    assert len(node.sweep(1000)) == 1


def test_late_images_behind_a_backlog_lock_nothing(node: Receiving, store: Store) -> None:
    """Every second thousands may wait for the revision before theirs: that is looked at alone."""
    first = mammogram()
    node.receive(first)
    (bell,) = node.sweep(1000)
    late = mammogram(first.StudyInstanceUID)
    assert node.receive(late) == "new"
    with ThreadPoolExecutor(1) as other, store.writing() as session:
        # On SQLite nobody else can write now.
        session.execute(select(1))
        assert other.submit(node.sweep, 1000).result(20) == []
    lease = claim(store, bell.job_id, "w1", RUNNING, node.settings)
    assert lease is not None
    assert node.sweep(1000) == []
    with store.writing() as session:
        move(session, hold(session, lease), SKIPPED, "test")
    assert len(node.sweep(1000)) == 1
