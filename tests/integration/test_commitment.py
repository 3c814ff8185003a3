"""Storage Commitment between real peers: a pynetdicom modality, Orthanc, the node's processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx
import pytest
import yaml
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    UnifiedProcedureStepPush,
    Verification,
)
from sqlalchemy import select

from node.settings import load_settings
from node.store.session import Store, open_store
from node.store.tables import Commitment, Instance
from tests.datasets import encapsulated_pdf, mammogram, saved
from tests.peers.modality import Modality, ask, commitment_request, echo, loop_halted
from tests.peers.node import running_role, sentinode
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port

PROCESSING_FAILURE, NO_SUCH_INSTANCE, CLASS_CONFLICT = 0x0110, 0x0112, 0x0119
TRANSACTION_IN_USE = 0x0131


@dataclass
class Node:
    """A node whose receiver and sweeper a test starts; its peers are known from the beginning."""

    settings: dict[str, object]
    folder: Path
    store: Store

    @property
    def port(self) -> int:
        """Port of the receiver."""
        return int(str(self.settings["dicom_port"]))

    @contextmanager
    def receiving(self) -> Iterator[Popen[bytes]]:
        """Run a receiver."""
        log = self.folder / "receive.log"
        with running_role(self.settings, "receive", log=log, ready_text="receiver listens") as it:
            yield it

    @contextmanager
    def sweeping(self, number: int = 0) -> Iterator[Popen[bytes]]:
        """Run a sweeper."""
        with running_role(self.settings, "sweep", log=self.folder / f"sweep{number}.log") as it:
            yield it

    def request(self, transaction_uid: str) -> Commitment:
        """The row of one transaction."""
        with self.store.reading() as session:
            return session.scalars(
                select(Commitment).where(Commitment.transaction_uid == transaction_uid)
            ).one()

    def file(self, dataset: Dataset) -> Path:
        """The kept file of an instance."""
        with self.store.reading() as session:
            path = session.scalars(
                select(Instance.path).where(Instance.sop_instance_uid == dataset.SOPInstanceUID)
            ).one()
        return Path(str(self.settings["state_dir"])) / path

    def wait(self, transaction_uid: str, met: Callable[[Commitment], bool]) -> Commitment:
        """The row of a transaction once it is as wanted."""
        deadline = time.monotonic() + 30
        while not met(row := self.request(transaction_uid)):
            assert time.monotonic() < deadline, (row.state, row.attempts, row.error)
            time.sleep(0.05)
        return row


def new_node(folder: Path, database_url: str, peers: dict[str, int], **more: object) -> Node:
    """A migrated node with these peers on loopback: port by AE title."""
    entries = [
        {"ae_title": title, "host": "127.0.0.1", "port": port, "timeout_seconds": 5}
        for title, port in peers.items()
    ]
    (folder / "peers.yaml").write_text(yaml.safe_dump({"peers": entries}))
    settings: dict[str, object] = {
        "state_dir": folder / "state",
        "database_url": database_url,
        "dicom_port": free_port(),
        "peers": folder / "peers.yaml",
        "min_free_bytes": 0,
        "broker_url": "redis://127.0.0.1:1/0",
        "sweep_seconds": 0.1,
        "retry_seconds": 0.2,
        "retry_max_seconds": 0.4,
        "lease_seconds": 2,
    } | more
    sentinode(settings, "db", "upgrade")
    store = open_store(load_settings(state_dir=folder / "state", database_url=database_url))
    return Node(settings, folder, store)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Node, Modality, Modality]]:
    """A running node on each database, a modality that it can call and one that it cannot."""
    url = ""
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgresql").new_database())
    known, unknown = Modality("MAMMO1"), Modality("NOBODY")
    folder = tmp_path_factory.mktemp("commitment")
    node = new_node(folder, url, {known.ae_title: known.port})
    with node.receiving(), node.sweeping():
        yield node, known, unknown
    node.store.close()


def large_mammogram() -> Dataset:
    """An image that has a file of its own, whatever is done with small ones."""
    return mammogram(size_px=(1024, 800))


def stored(modality: Modality, node: Node, *datasets: Dataset) -> None:
    """Store these; every one must be accepted."""
    classes = [dataset.SOPClassUID for dataset in datasets]
    with modality.connected(node.port, *classes) as association:
        for dataset in datasets:
            assert association.send_c_store(dataset).Status == 0x0000


def asked(modality: Modality, node: Node, *datasets: Dataset, transaction: str = "") -> str:
    """Ask and hang up at once; returns the Transaction UID."""
    uid = transaction or generate_uid()
    with modality.connected(node.port) as association:
        assert ask(association, commitment_request(uid, datasets)) == 0x0000
    return uid


def test_answer_on_the_same_association(shared: tuple[Node, Modality, Modality]) -> None:
    """A modality that stays connected is told there, between its other messages."""
    node, _, modality = shared
    images = [mammogram(), mammogram()]
    uid = generate_uid()
    with modality.connected(node.port, Verification, images[0].SOPClassUID) as association:
        for image in images:
            assert association.send_c_store(image).Status == 0x0000
        assert ask(association, commitment_request(uid, images)) == 0x0000
        assert node.request(uid).attempts == 1
        # Not C-STORE: pynetdicom would send its answer to the report between the parts of an image.
        deadline = time.monotonic() + 30
        with loop_halted(association):
            while modality.reports.empty() and time.monotonic() < deadline:
                assert echo(association) == 0x0000
            report = modality.report()
        node.wait(uid, lambda row: row.state == "reported")
        assert association.send_c_store(mammogram()).Status == 0x0000
    assert report.event_type == 1
    assert report.information.TransactionUID == uid
    assert report.committed == [image.SOPInstanceUID for image in images]
    assert report.failed == {}
    assert not report.scp_proposed


def test_answer_on_a_new_association(shared: tuple[Node, Modality, Modality]) -> None:
    """A modality that hangs up is called back by its AE title, with the node as the SCP."""
    node, modality, _ = shared
    image = mammogram()
    stored(modality, node, image)
    with modality.listening():
        uid = asked(modality, node, image)
        report = modality.report()
        row = node.wait(uid, lambda row: row.state == "reported")
    assert (report.event_type, report.committed) == (1, [image.SOPInstanceUID])
    assert report.calling_ae_title == "SENTINODE"
    assert report.scp_proposed
    assert row.reported_at is not None
    assert row.error is None


def test_callback_without_role_negotiation(shared: tuple[Node, Modality, Modality]) -> None:
    """A modality that ignores the proposed role, as many do, gets its report all the same."""
    node, modality, _ = shared
    image = mammogram()
    stored(modality, node, image)
    with modality.listening(negotiates_role=False):
        uid = asked(modality, node, image)
        assert modality.report().committed == [image.SOPInstanceUID]
        node.wait(uid, lambda row: row.state == "reported")


def test_modality_that_wants_a_new_association(shared: tuple[Node, Modality, Modality]) -> None:
    """A modality that stays connected but refuses the report there is called back."""
    node, modality, _ = shared
    uid = generate_uid()
    with (
        modality.listening(),
        modality.connected(node.port, takes_reports=False) as association,
    ):
        assert ask(association, commitment_request(uid, [mammogram()])) == 0x0000
        report = modality.report()
        assert association.is_established
        node.wait(uid, lambda row: row.state == "reported")
    assert report.scp_proposed
    assert report.event_type == 2


def test_modality_that_is_away_is_tried_again(shared: tuple[Node, Modality, Modality]) -> None:
    """Nothing listens at first; when it does, the answer comes."""
    node, modality, _ = shared
    image = mammogram()
    stored(modality, node, image)
    uid = asked(modality, node, image)
    waiting = node.wait(uid, lambda row: row.attempts >= 3 and row.error is not None)
    assert waiting.state == "waiting"
    assert "does not answer" in (waiting.error or "")
    with modality.listening():
        assert modality.report().committed == [image.SOPInstanceUID]
        node.wait(uid, lambda row: row.state == "reported")


def test_failures_have_their_reason(shared: tuple[Node, Modality, Modality]) -> None:
    """Unknown, of another class, corrupted, cut and missing: each fails for its own reason."""
    node, modality, _ = shared
    good, corrupted, cut, missing, unknown = (large_mammogram() for _ in range(5))
    stored(modality, node, good, corrupted, cut, missing)
    content = bytearray(node.file(corrupted).read_bytes())
    content[-100] ^= 1
    node.file(corrupted).write_bytes(content)
    node.file(cut).write_bytes(node.file(cut).read_bytes()[:-2])
    node.file(missing).unlink()
    other = encapsulated_pdf()
    stored(modality, node, other)
    other.SOPClassUID = good.SOPClassUID
    with modality.listening():
        asked(modality, node, good, corrupted, cut, missing, unknown, other)
        report = modality.report()
    assert report.event_type == 2
    assert report.committed == [good.SOPInstanceUID]
    assert report.failed == {
        corrupted.SOPInstanceUID: PROCESSING_FAILURE,
        cut.SOPInstanceUID: PROCESSING_FAILURE,
        missing.SOPInstanceUID: PROCESSING_FAILURE,
        unknown.SOPInstanceUID: NO_SUCH_INSTANCE,
        other.SOPInstanceUID: CLASS_CONFLICT,
    }


def test_transaction_uid_names_one_request(shared: tuple[Node, Modality, Modality]) -> None:
    """The same request again is the same row and is answered again; another under its UID fails."""
    node, modality, _ = shared
    first, second = mammogram(), mammogram()
    stored(modality, node, first, second)
    with modality.listening():
        uid = asked(modality, node, first, second)
        assert modality.report().event_type == 1
        asked(modality, node, second, first, transaction=uid)
        again = modality.report()
        assert sorted(again.committed) == sorted([first.SOPInstanceUID, second.SOPInstanceUID])
        assert node.request(uid).attempts >= 2  # and it is one row
        asked(modality, node, first, transaction=uid)
        assert modality.report().failed == {first.SOPInstanceUID: TRANSACTION_IN_USE}


def test_wrong_requests_are_refused(shared: tuple[Node, Modality, Modality]) -> None:
    """Wrong SOP instance, wrong action, missing or absurd arguments: a status, and no row."""
    node, _, modality = shared
    image = mammogram()
    right = commitment_request(generate_uid(), [image])
    nameless, empty = commitment_request("", [image]), commitment_request(generate_uid(), [])
    with modality.connected(node.port) as association:
        assert ask(association, right, instance_uid="1.2.3") == 0x0112
        assert ask(association, right, action_type=2) == 0x0123
        assert ask(association, nameless) == 0x0115
        assert ask(association, empty) == 0x0115
        assert ask(association, None) == 0x0115
        for uid in (UnifiedProcedureStepPush, image.SOPClassUID, "1.2.3.4"):
            other_class = {"class_uid": uid, "meta_uid": StorageCommitmentPushModel}
            assert ask(association, right, **other_class) == 0x0118
    with node.store.reading() as session:
        known = set(session.scalars(select(Commitment.transaction_uid)))
    assert not known & {right.TransactionUID, empty.TransactionUID}


def test_long_report_comes_in_parts(shared: tuple[Node, Modality, Modality]) -> None:
    """A request for more instances than one PDU holds is answered whole."""
    node, _, modality = shared
    absent = [mammogram() for _ in range(400)]
    with modality.connected(node.port) as association:
        assert ask(association, commitment_request(generate_uid(), absent)) == 0x0000
        report = modality.report()
    assert report.event_type == 2
    assert set(report.failed.values()) == {NO_SUCH_INSTANCE}
    assert len(report.failed) == 400


def test_a_modality_that_waits_is_not_silent(tmp_path: Path) -> None:
    """While its objects are read, for longer than a peer may be silent, its association stays."""
    node, modality = new_node(tmp_path, "", {}, dicom_network_timeout_seconds=2), Modality("WAITS")
    images = [large_mammogram() for _ in range(3)]
    with node.receiving(), modality.connected(node.port, images[0].SOPClassUID) as association:
        for image in images:
            assert association.send_c_store(image).Status == 0x0000
        files = [node.file(image) for image in images]
        for file in files:
            # A file that is read as fast as somebody writes: a slow disk.
            file.unlink()
            os.mkfifo(file)
        assert ask(association, commitment_request(generate_uid(), images)) == 0x0000
        for file in files:
            time.sleep(1.2)
            file.write_bytes(b"")
        report = modality.report(10)
    node.store.close()
    assert set(report.failed.values()) == {PROCESSING_FAILURE}


@pytest.fixture
def alone(tmp_path: Path, database_url: str) -> Iterator[tuple[Node, Modality]]:
    """A node of which nothing runs yet, on each database."""
    modality = Modality("MAMMO1")
    # A lease long enough that a sweeper on a busy machine does not lose it.
    peers = {modality.ae_title: modality.port}
    node = new_node(tmp_path, database_url, peers, lease_seconds=4)
    yield node, modality
    node.store.close()


def test_kill_between_request_and_report(alone: tuple[Node, Modality]) -> None:
    """kill -9 right after the N-ACTION response: a sweeper answers, truly, from what is then there.

    Two sweepers: one report.
    """
    node, modality = alone
    kept, lost = large_mammogram(), large_mammogram()
    with node.receiving() as receiver:
        stored(modality, node, kept, lost)
        uid = generate_uid()
        with modality.connected(node.port) as association:
            assert ask(association, commitment_request(uid, [kept, lost])) == 0x0000
            receiver.kill()
            receiver.wait()
    assert modality.reports.empty()
    assert node.request(uid).state == "waiting"
    node.file(lost).unlink()
    with modality.listening(), node.sweeping(1), node.sweeping(2):
        report = modality.report()
        node.wait(uid, lambda row: row.state == "reported")
    assert report.committed == [kept.SOPInstanceUID]
    assert report.failed == {lost.SOPInstanceUID: PROCESSING_FAILURE}
    assert modality.reports.empty()


def test_two_sweepers_report_each_request_once(alone: tuple[Node, Modality]) -> None:
    """Twenty requests left by a receiver that ended: twenty reports."""
    node, modality = alone
    with node.receiving():
        uids = [asked(modality, node, mammogram()) for _ in range(20)]
    with modality.listening(), node.sweeping(1), node.sweeping(2):
        reports = [modality.report() for _ in uids]
        for uid in uids:
            node.wait(uid, lambda row: row.state == "reported")
    assert sorted(report.information.TransactionUID for report in reports) == sorted(uids)
    assert modality.reports.empty()


def test_answer_after_a_restart(alone: tuple[Node, Modality]) -> None:
    """Receiver and sweeper end before the modality listens; those started later answer."""
    node, modality = alone
    image = mammogram()
    with node.receiving(), node.sweeping():
        stored(modality, node, image)
        uid = asked(modality, node, image)
        node.wait(uid, lambda row: row.error is not None)
    with modality.listening(), node.receiving(), node.sweeping():
        assert modality.report().committed == [image.SOPInstanceUID]
        node.wait(uid, lambda row: row.state == "reported")


def test_unknown_caller_is_given_up_with_the_reason(tmp_path: Path) -> None:
    """Who hangs up and is no peer cannot be called: the row says so when time is up."""
    modality = Modality("NOBODY")
    node = new_node(tmp_path, "", {}, retry_give_up_seconds=1)
    with node.receiving(), node.sweeping():
        uid = asked(modality, node, mammogram())
        row = node.wait(uid, lambda row: row.state == "abandoned")
    assert "SENTINODE_PEERS has no entry for NOBODY" in (row.error or "")
    node.store.close()


def test_orthanc_asks_for_commitment(orthanc: Orthanc, tmp_path: Path) -> None:
    """Orthanc forwards an image and asks for its commitment; it shows our answers as they are."""
    node = new_node(tmp_path, "", {orthanc.ae_title: orthanc.dicom_port})
    image, absent = mammogram(), mammogram()
    modality = {"AET": "SENTINODE", "Host": "127.0.0.1", "Port": node.port}
    with (
        node.receiving(),
        node.sweeping(),
        httpx.Client(base_url=orthanc.url, timeout=30, trust_env=False) as rest,
    ):
        rest.put("/modalities/node", json=modality).raise_for_status()
        kept = rest.post("/instances", content=saved(image, tmp_path).read_bytes()).json()["ID"]
        wanted = {"Resources": [kept], "StorageCommitment": True}
        sent = rest.post("/modalities/node/store", json=wanted).raise_for_status().json()
        good = _orthanc_answer(rest, sent["StorageCommitmentTransactionUID"])
        asked = {"DicomInstances": [[absent.SOPClassUID, absent.SOPInstanceUID]]}
        uid = rest.post("/modalities/node/storage-commitment", json=asked).json()["ID"]
        bad = _orthanc_answer(rest, uid)
    assert good["Status"] == "Success"
    assert [each["SOPInstanceUID"] for each in good["Success"]] == [image.SOPInstanceUID]
    assert bad["Status"] == "Failure"
    # What Orthanc says for reason 0x0112.
    assert "was not available" in bad["Failures"][0]["Description"]
    node.store.close()


def _orthanc_answer(rest: httpx.Client, transaction_uid: str) -> dict:
    """What Orthanc shows of a commitment that it asked for, once the report came."""
    deadline = time.monotonic() + 30
    while True:
        found = rest.get(f"/storage-commitment/{transaction_uid}").raise_for_status().json()
        if found["Status"] != "Pending":
            return dict(found)
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
