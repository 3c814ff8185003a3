"""Storage Commitment of results: asked, reported on either association, repeated, followed up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role, evt

from node.destinations import SOP_CLASS_OF_KIND, Destination
from node.job import utc_now
from node.settings import Settings, load_settings
from node.store.migrate import upgrade
from node.store.session import Store, open_store
from node.store.tables import CommitmentRequest, Job
from tests.deliveries import EXPLICIT, Deliveries, waiting_job
from tests.deliveries import at as dimse_at
from tests.peers import orthanc as orthanc_peer
from tests.peers.needs import need
from tests.peers.node import running_role
from tests.peers.orthanc import Orthanc, running_orthanc
from tests.peers.ports import free_port
from tests.peers.postgresql import Postgresql
from tests.peers.strict import COMMITMENT, FIND, StrictArchive, running_strict

TAKES = {SOP_CLASS_OF_KIND["SEG"]: [EXPLICIT]}
NO_SUCH_OBJECT, CLASS_CONFLICT, PROCESSING_FAILURE = 0x0112, 0x0119, 0x0110
INSTANCE = "1.2.840.10008.1.20.1.1"  # PS3.4 J.3.5


@pytest.fixture(scope="module")
def settings(
    postgresql: Postgresql, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings of a node whose receiver runs, to be told of commitments."""
    folder = tmp_path_factory.mktemp("node")
    values: dict[str, Any] = {
        "state_dir": folder / "state",
        "database_url": postgresql.new_database(),
        "dicom_port": free_port(),
        "min_free_bytes": 0,
        "broker_url": "redis://127.0.0.1:1/0",
    }
    settings = load_settings(**values)
    upgrade(settings)
    log = folder / "receive.log"
    with running_role(values, "receive", log=log, ready_text="receiver listens"):
        yield settings


@pytest.fixture(scope="module")
def store(settings: Settings) -> Iterator[Store]:
    """The open store."""
    store = open_store(settings)
    yield store
    store.close()


@pytest.fixture
def deliveries(store: Store, settings: Settings, tmp_path: Path) -> Deliveries:
    """Return a job whose two segmentations wait for the destination `archive`."""
    return waiting_job(store, settings, tmp_path, ["archive"])


@pytest.fixture
def strict() -> Iterator[StrictArchive]:
    """An archive that takes requests and reports only when a test has it report."""
    with running_strict(TAKES, services=(FIND, COMMITMENT)) as archive:
        yield archive


def at(port: int, ae_title: str = "STRICT") -> Destination:
    return dimse_at(port, ae_title=ae_title, confirm="commitment")


def report(
    settings: Settings,
    transaction_uid: str,
    committed: Sequence[str],
    failed: Mapping[str, int] | None = None,
) -> int:
    """Report on a new association to the node's receiver, as its SCP; returns the node's status."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_item(uid) for uid in committed]
    if failed:
        information.FailedSOPSequence = [_item(uid, reason) for uid, reason in failed.items()]
    entity = AE("STRICT")
    entity.add_requested_context(COMMITMENT)
    role = build_role(COMMITMENT, scp_role=True)
    association = entity.associate("127.0.0.1", settings.dicom_port, ext_neg=[role])
    assert association.is_established
    assert association.accepted_contexts[0].as_scp
    event_type = 2 if failed else 1
    answer, _ = association.send_n_event_report(information, event_type, COMMITMENT, INSTANCE)
    association.release()
    return int(answer.Status)


def _item(uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = SOP_CLASS_OF_KIND["SEG"]
    item.ReferencedSOPInstanceUID = uid
    if reason is not None:
        item.FailureReason = reason
    return item


def request_of(deliveries: Deliveries, transaction_uid: str) -> CommitmentRequest:
    with deliveries.store.reading() as session:
        return session.get_one(CommitmentRequest, transaction_uid)


def wait_for(met: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_reported_on_a_new_association(
    deliveries: Deliveries, strict: StrictArchive, settings: Settings
) -> None:
    """The job waits without a worker; the report confirms everything and makes it due at once."""
    assert deliveries.round(at(strict.port)) is None
    uids = [row.SOPInstanceUID for row in deliveries.objects]
    assert deliveries.states() == ["asked"] * 2
    assert (deliveries.job().lease_owner, deliveries.job().due_at > utc_now()) == (None, True)
    ((transaction_uid, asked_for),) = strict.asked
    assert asked_for == uids
    request = request_of(deliveries, transaction_uid)
    assert (request.state, request.sop_instance_uids) == ("asked", uids)
    assert report(settings, transaction_uid, uids) == 0x0000
    assert deliveries.states() == ["confirmed"] * 2
    assert deliveries.job().due_at <= utc_now()
    assert request_of(deliveries, transaction_uid).state == "reported"
    # An archive that has not heard our answer reports again.
    assert report(settings, transaction_uid, uids) == 0x0000
    assert deliveries.round(at(strict.port)) == []
    assert len(strict.asked) == 1


def test_a_report_that_nobody_asked_for_is_refused(settings: Settings) -> None:
    """0115H, invalid argument value: the Transaction UID is not ours."""
    assert report(settings, generate_uid(), ["1.2.3"]) == 0x0115


def test_what_is_missing_is_sent_again(
    deliveries: Deliveries, strict: StrictArchive, settings: Settings
) -> None:
    """An archive that lost an object gets it once more, and is asked about it alone."""
    lost, kept = (each.SOPInstanceUID for each in deliveries.objects)
    deliveries.round(at(strict.port))
    failed = {lost: NO_SUCH_OBJECT}
    assert report(settings, strict.asked[0][0], [kept], failed) == 0x0000
    assert deliveries.states() == ["pending", "confirmed"]
    assert "no such object instance (0x0112)" in str(deliveries.rows()[0].error)
    deliveries.forget_pauses()
    assert deliveries.round(at(strict.port)) is None
    assert len(strict.kept[lost]) == 2
    assert strict.asked[1][1] == [lost]
    assert strict.asked[1][0] != strict.asked[0][0]
    # The report on the first request, again and late, undoes nothing.
    assert report(settings, strict.asked[0][0], [kept], failed) == 0x0000
    assert deliveries.states() == ["asked", "confirmed"]
    report(settings, strict.asked[1][0], [lost])
    assert deliveries.round(at(strict.port)) == []
    assert deliveries.states() == ["confirmed"] * 2


def test_a_conflict_is_final(
    deliveries: Deliveries, strict: StrictArchive, settings: Settings
) -> None:
    """What no resending can mend is refused, with the archive's reason."""
    first, second = (each.SOPInstanceUID for each in deliveries.objects)
    deliveries.round(at(strict.port))
    reasons = {first: CLASS_CONFLICT, second: PROCESSING_FAILURE}
    report(settings, strict.asked[0][0], [], reasons)
    assert deliveries.states() == ["refused", "pending"]
    assert "class/instance conflict (0x0119)" in str(deliveries.rows()[0].error)


def test_no_report_in_time(
    deliveries: Deliveries, strict: StrictArchive, settings: Settings
) -> None:
    """It is asked again under a new Transaction UID; a late report counts; then it is dead."""
    destination = at(strict.port)
    deliveries.round(destination)
    deliveries.forget_pauses()
    assert deliveries.round(destination) is None
    assert len({uid for uid, _ in strict.asked}) == 2
    assert deliveries.states() == ["asked"] * 2
    assert all(len(each) == 1 for each in strict.kept.values()), "nothing was sent again"
    first = deliveries.objects[0].SOPInstanceUID
    report(settings, strict.asked[0][0], [first])
    assert deliveries.states() == ["confirmed", "asked"]
    deliveries.age(settings.retry_give_up_seconds + 1)
    reasons = deliveries.round(destination)
    assert deliveries.states() == ["confirmed", "dead"]
    assert reasons is not None
    assert "no Storage Commitment report in time" in reasons[0]


def test_a_request_that_is_not_taken(deliveries: Deliveries, strict: StrictArchive) -> None:
    """N-ACTION refused for now: the objects stay sent and are asked for after a pause."""
    strict.action_status = 0x0213
    assert deliveries.round(at(strict.port)) is None
    assert deliveries.states() == ["sent"] * 2
    assert "0x0213 to N-ACTION" in str(deliveries.rows()[0].error)
    strict.action_status = 0x0000
    deliveries.forget_pauses()
    deliveries.round(at(strict.port))
    assert deliveries.states() == ["asked"] * 2
    assert all(len(each) == 1 for each in strict.kept.values())


def test_an_archive_that_leaves_before_it_is_asked(
    deliveries: Deliveries, strict: StrictArchive
) -> None:
    """The request was never made: it is made after a pause, not when its report would be late."""
    last = deliveries.objects[-1].SOPInstanceUID
    begun = threading.Event()

    def leave(association: Any) -> None:
        # While the worker waits for the job's row, to write that the object was sent.
        with deliveries.store.writing() as session:
            session.get_one(Job, deliveries.job_id, with_for_update=True)
            begun.set()
            time.sleep(0.3)
            association.abort()
            time.sleep(0.3)

    def take(event: evt.Event) -> int:
        if event.request.AffectedSOPInstanceUID == last:
            threading.Thread(target=leave, args=(event.assoc,)).start()
            assert begun.wait(10)
        return 0x0000

    strict.store_status = take
    assert deliveries.round(at(strict.port)) is None
    assert (deliveries.states(), strict.asked) == (["sent"] * 2, [])
    assert "has ended the association" in str(deliveries.rows()[0].error)
    strict.store_status = lambda _: 0x0000
    deliveries.forget_pauses()
    assert deliveries.round(at(strict.port)) is None
    assert (deliveries.states(), len(strict.asked)) == (["asked"] * 2, 1)


def test_an_archive_without_commitment(deliveries: Deliveries) -> None:
    """C-FIND confirms where Storage Commitment is wanted and not offered."""
    with running_strict(TAKES, services=(FIND,)) as archive:
        assert deliveries.round(at(archive.port)) == []
    assert deliveries.states() == ["confirmed"] * 2
    assert archive.asked == []


def test_reported_on_the_same_association(deliveries: Deliveries, settings: Settings) -> None:
    """An archive that answers at once and knows no way back: here, a node's own receiver."""
    assert deliveries.round(at(settings.dicom_port, settings.ae_title)) == []
    assert deliveries.states() == ["confirmed"] * 2


@pytest.fixture(scope="module")
def orthanc(settings: Settings) -> Iterator[Orthanc]:
    """Return an Orthanc that knows where to report to."""
    need(orthanc_peer.missing())
    ours = {"AET": settings.ae_title, "Host": "127.0.0.1", "Port": settings.dicom_port}
    with running_orthanc(DicomModalities={"node": ours}) as server:
        yield server


def test_orthanc_commits(deliveries: Deliveries, orthanc: Orthanc) -> None:
    """Orthanc reports on an association of its own, as the SCP; the database has the outcome."""
    destination = at(orthanc.dicom_port, orthanc.ae_title)
    assert deliveries.round(destination) in (None, [])
    wait_for(lambda: deliveries.states() == ["confirmed"] * 2)
    assert deliveries.round(destination) == []
    stored = orthanc.sop_instance_uids()
    assert sorted(stored) == sorted(each.SOPInstanceUID for each in deliveries.objects)


def test_orthanc_says_what_it_lacks(deliveries: Deliveries, orthanc: Orthanc) -> None:
    """An object that it has lost since is sent again, and then committed."""
    destination = at(orthanc.dicom_port, orthanc.ae_title)
    _pretend_sent(deliveries)
    assert deliveries.round(destination) is None
    wait_for(lambda: deliveries.states() == ["pending"] * 2)
    deliveries.forget_pauses()
    deliveries.round(destination)
    wait_for(lambda: deliveries.states() == ["confirmed"] * 2)


def _pretend_sent(deliveries: Deliveries) -> None:
    """As after a success that the archive has forgotten."""
    with deliveries.store.writing() as session:
        for row in deliveries.rows():
            row.state, row.sent_at = "sent", utc_now()
            session.merge(row)
