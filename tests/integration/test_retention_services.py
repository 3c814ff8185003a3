"""Retention between real processes and peers: modality, receiver, sweeper, an archive that asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select

from node.job import REMOVED
from node.retention.expiry import Expiry
from node.retention.leftovers import Leftovers
from node.retention.removal import Rule
from node.settings import load_settings
from node.store.files import Files
from node.store.tables import Instance
from tests.analysed import Said
from tests.datasets import mammogram
from tests.integration.test_commitment import Node, asked, new_node, stored
from tests.peers.asking import Keeper, asking, findscu, identifier, move
from tests.peers.modality import Modality
from tests.peers.node import sentinode
from tests.resting import Resting, later
from tests.stored import files_of, original

KEEP_DAYS = 2


@pytest.fixture
def node(tmp_path: Path, database_url: str) -> Iterator[tuple[Node, Modality, Keeper]]:
    """A node, not started, that knows a modality and an archive."""
    modality, keeper = Modality("MAMMO1"), Keeper("KEEPER")
    peers = {modality.ae_title: modality.port, keeper.ae_title: keeper.port}
    node = new_node(tmp_path, database_url, peers, keep_days=KEEP_DAYS)
    yield node, modality, keeper
    node.store.close()


def resting(node: Node, *images: FileDataset) -> Resting:
    """Finish the study of images that were sent, and let it be older than the node keeps."""
    workers = Resting(load_settings(**node.settings), node.store)
    (bell,) = workers.sweep(1000)
    workers.finish(bell.job_id, Said(findings=1))
    workers.age(images[0].StudyInstanceUID, KEEP_DAYS + 1)
    return workers


def listed(node: Node, study_uid: str) -> int:
    """How many studies findscu is told of."""
    keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study_uid}")
    return len(findscu(node.port, node.folder / "answers", *keys))


def wait_until_removed(workers: Resting, study_uid: str) -> None:
    """Return once the sweeper has taken rows and results; an image is too young for it yet."""
    results = workers.settings.state_dir / "results" / study_uid
    deadline = time.monotonic() + 30
    while workers.study(study_uid).state != REMOVED or results.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_life_and_end_of_a_study(node: tuple[Node, Modality, Keeper]) -> None:
    """Stored, promised, listed; removed, and everybody is told so; sent again, all is as new."""
    running, modality, _ = node
    image = mammogram(size_px=(1000, 800))
    study_uid = str(image.StudyInstanceUID)
    with running.receiving(), modality.listening():
        stored(modality, running, image)
        asked(modality, running, image)
        with running.sweeping():
            assert modality.report().committed == [image.SOPInstanceUID]
        assert listed(running, study_uid) == 1
        workers = resting(running, image)
        with running.sweeping(1):
            wait_until_removed(workers, study_uid)
            assert listed(running, study_uid) == 0
            asked(modality, running, image)
            report = modality.report()
            assert (report.committed, report.failed) == ([], {image.SOPInstanceUID: 0x0112})
            stored(modality, running, image)
            assert listed(running, study_uid) == 1
            asked(modality, running, image)
            assert modality.report().committed == [image.SOPInstanceUID]
    Leftovers(running.store, workers.files).clear_due(later(1), 1)
    with running.store.reading() as session:
        row = session.scalars(select(Instance)).one()
    assert files_of(workers.settings.state_dir) == {row.path}
    assert len(original(running.store, workers.files.root, row.id)) == row.size_bytes
    (bell,) = workers.sweep(1000)
    assert workers.claimed(bell.job_id).revision == 2
    said = (running.folder / "sweep1.log").read_text()
    assert "study removed" in said
    assert str(image.PatientName) not in said


def test_a_study_that_is_being_moved_stays(node: tuple[Node, Modality, Keeper]) -> None:
    """The archive is slow; retention passes the study by until it has everything."""
    running, modality, keeper = node
    images = [mammogram(size_px=(1000, 800))]
    study_uid = str(images[0].StudyInstanceUID)
    images.append(mammogram(study_uid, size_px=(1000, 800)))
    begun, go_on = threading.Event(), threading.Event()

    def answer_slowly(_event: Any) -> int:
        begun.set()
        assert go_on.wait(30)
        return 0x0000

    keeper.answer = answer_slowly
    responses: list[Any] = []
    contexts = [(images[0].SOPClassUID, [ExplicitVRLittleEndian])]
    with running.receiving(), keeper.listening(contexts):
        stored(modality, running, *images)
        workers = resting(running, *images)
        expiry = Expiry(running.store, Files(workers.settings.state_dir), Rule(KEEP_DAYS))

        def move_all() -> None:
            with asking(running.port) as association:
                asked_for = identifier("STUDY", StudyInstanceUID=study_uid)
                responses.extend(move(association, keeper.ae_title, asked_for))

        moving = threading.Thread(target=move_all)
        moving.start()
        assert begun.wait(30)
        # Longer than a lease: the hold is renewed.
        end = time.monotonic() + 1.5 * workers.settings.lease_seconds
        while time.monotonic() < end:
            expiry.turn()
            assert workers.removals() == 0
            time.sleep(0.1)
        go_on.set()
        moving.join(30)
        assert set(keeper.stored) >= {image.SOPInstanceUID for image in images}
        deadline = time.monotonic() + 30
        while not workers.removals():
            assert time.monotonic() < deadline
            expiry.turn()
            time.sleep(0.1)


def test_an_administrator_looks_first(node: tuple[Node, Modality, Keeper]) -> None:
    """`sentinode expire --dry-run` lists what would go and why the rest stays; then it goes."""
    running, modality, _ = node
    old, young = mammogram(size_px=(1000, 800)), mammogram()
    young.PatientID = "TEST-2"
    with running.receiving():
        stored(modality, running, old)
        workers = resting(running, old)
        stored(modality, running, young)
    values = running.settings
    told = sentinode(values, "expire", "--dry-run")
    assert told.startswith(f"{old.StudyInstanceUID}  ")
    assert "1 instances  1.7 MB" in told
    assert young.StudyInstanceUID not in told
    assert workers.removals() == 0
    assert sentinode(values, "expire", "--dry-run", "--days", "30") == ""
    assert sentinode(values, "expire", "--failed") == "0 studies removed, 0.00 GB\n"
    assert sentinode(values, "expire") == "1 studies removed, 0.00 GB\n"
    assert workers.study(str(old.StudyInstanceUID)).state == REMOVED
    assert "removed" in sentinode(values, "status", str(old.StudyInstanceUID))
