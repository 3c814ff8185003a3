"""A request on its way into a real inbox: batches, breaks, limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from node.errors import LargeRequestError
from node.instance import Inbox, Reception
from node.routes import load_routes
from node.settings import load_settings
from node.store.files import Files
from node.store.migrate import upgrade
from node.store.session import open_store
from node.store.spool import Spool
from node.stow import intake as intake_module
from node.stow.intake import Intake
from node.stow.part10 import Contexts, Sender
from tests.datasets import mammogram
from tests.peers.stow import BOUNDARY, body, part10


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """An inbox on an empty SQLite database."""
    settings = load_settings(state_dir=tmp_path, min_free_bytes=0)
    upgrade(settings)
    files, store = Files(tmp_path), open_store(settings)
    files.prepare()
    spool = Spool(files.incoming)
    yield Inbox(Reception(settings, store, files, load_routes(None)), spool)
    spool.close()
    store.close()


@pytest.fixture
def intake(inbox: Inbox) -> Intake:
    """An intake of one request."""
    contexts = Contexts(inbox.reception.settings)
    return Intake(inbox, contexts, BOUNDARY.encode(), Sender("10.0.0.7"))


def told(intake: Intake) -> list[str]:
    """SOP Instance UIDs that the report says are stored."""
    return [
        claim.AffectedSOPInstanceUID
        for claim, outcome in intake.report.instances
        if outcome.kind == "new"
    ]


def images(count: int) -> list[FileDataset]:
    """Small images of one study."""
    first = mammogram()
    return [first, *(mammogram(first.StudyInstanceUID, seed=seed) for seed in range(1, count))]


def test_batches_are_durable_while_the_body_comes(intake: Intake) -> None:
    """After sixteen parts the first sixteen are settled, without waiting for the end."""
    sent = images(20)
    content = body(*map(part10, sent))
    intake.take([content[:-100]])
    assert told(intake) == [image.SOPInstanceUID for image in sent[:16]]
    intake.take([content[-100:]])
    intake.finish()
    assert intake.failure is None
    assert told(intake) == [image.SOPInstanceUID for image in sent]


def test_large_parts_do_not_wait_for_others(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch also ends by its size, so that neither disk cache nor loss grows with the request."""
    monkeypatch.setattr(intake_module, "_BATCH_BYTES", 10_000)
    sent = images(3)
    intake.take([body(*map(part10, sent))[:-60]])
    assert told(intake) == [image.SOPInstanceUID for image in sent[:2]]
    intake.abandon()


def test_abandoned_request_keeps_what_is_complete(intake: Intake, inbox: Inbox) -> None:
    """The half part goes, with its file; whatever comes later is not taken any more."""
    first, second = mammogram(), mammogram(size_px=(1400, 1200))
    content = body(part10(first), part10(second))
    intake.take([content[:-50_000]])
    assert _spooled(inbox)
    intake.abandon()
    assert _spooled(inbox) == []
    intake.take([content[-50_000:]])
    intake.finish()
    intake.abandon()
    assert told(intake) == [first.SOPInstanceUID]


def test_parts_are_limited(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their report is kept in memory, so a request of endless tiny parts ends."""
    monkeypatch.setattr(intake_module, "PARTS_LIMIT", 3)
    intake.take([body(*[b"x"] * 5)])
    intake.finish()
    assert isinstance(intake.failure, LargeRequestError)
    assert intake.report.unknown == [0xC000] * 3


def _spooled(inbox: Inbox) -> list[Path]:
    incoming = inbox.reception.files.incoming
    return [path for path in incoming.rglob("*") if path.is_file() and path.name != ".lock"]
