"""Results reach a real Orthanc by both protocols, once, or the error says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import UID

from node.destinations import Destination
from node.errors import DestinationRefusedError, DestinationUnavailableError, NotFoundError
from node.identifiers import JobId
from node.job import DELIVERING, RUNNING, Lease, claim, move, new_job, utc_now
from node.settings import Settings
from node.store.files import Files
from node.store.session import Store
from node.store.tables import Delivery, Job, Result, Study
from tests.datasets import mammogram, saved
from tests.peers import orthanc as orthanc_peer
from tests.peers.orthanc import Orthanc, running_orthanc
from tests.peers.ports import free_port
from workers.delivery import confirm, deliver, deliver_results, echo

# pynetdicom 3.0.4 forgets to close the socket of a connection that was refused.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

AE_TITLE = "SENTINODE"
PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def locked_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Return an Orthanc that asks for a password and knows no DICOM modality."""
    if orthanc_peer.missing():
        pytest.skip(str(orthanc_peer.missing()))
    with running_orthanc("node", PASSWORD, DicomAlwaysAllowStore=False) as server:
        yield server


def by_stow(orthanc: Orthanc, **changes: Any) -> Destination:
    fields = {"name": "orthanc", "protocol": "stow", "url": orthanc.dicomweb_url, "confirm": "qido"}
    return Destination.model_validate(fields | changes)


def by_c_store(orthanc: Orthanc, **changes: Any) -> Destination:
    fields = {
        "name": "orthanc",
        "protocol": "c-store",
        "ae_title": orthanc.ae_title,
        "host": orthanc.host,
        "port": orthanc.dicom_port,
        "confirm": "c-find",
    }
    return Destination.model_validate(fields | changes)


PROTOCOLS = pytest.mark.parametrize("destination_of", [by_stow, by_c_store])


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """Return an encoded object of its own study."""
    return saved(mammogram(), tmp_path)


@PROTOCOLS
def test_a_result_arrives_once_and_unchanged(
    orthanc: Orthanc, result: Path, destination_of: Any
) -> None:
    """Sent twice, the archive holds one object, byte for byte in its data set."""
    destination = destination_of(orthanc)
    assert not confirm(result, destination, AE_TITLE)
    deliver(result, destination, AE_TITLE)
    deliver(result, destination, AE_TITLE)
    assert confirm(result, destination, AE_TITLE)
    sent = pydicom.dcmread(result)
    assert orthanc.sop_instance_uids().count(sent.SOPInstanceUID) == 1
    assert pydicom.dcmread(pydicom.filebase.DicomBytesIO(orthanc.file(sent.SOPInstanceUID))) == sent


@PROTOCOLS
def test_an_archive_that_answers_passes_the_check(orthanc: Orthanc, destination_of: Any) -> None:
    """`echo` returns where C-ECHO and DICOMweb answer."""
    echo(destination_of(orthanc), AE_TITLE)


@PROTOCOLS
def test_an_archive_that_is_down_is_tried_again(
    orthanc: Orthanc, result: Path, destination_of: Any
) -> None:
    """A closed port is a transient error, for sending, confirming and checking."""
    closed = free_port()
    changes = (
        {"url": f"http://127.0.0.1:{closed}"} if destination_of is by_stow else {"port": closed}
    )
    destination = destination_of(orthanc, **changes)
    for attempt in (deliver, confirm):
        with pytest.raises(DestinationUnavailableError):
            attempt(result, destination, AE_TITLE)
    with pytest.raises(DestinationUnavailableError):
        echo(destination, AE_TITLE)


def test_an_archive_that_dies_between_two_objects(result: Path, tmp_path: Path) -> None:
    """Before it dies the object is stored; afterwards both protocols say unavailable."""
    if orthanc_peer.missing():
        pytest.skip(str(orthanc_peer.missing()))
    with running_orthanc() as server:
        deliver(result, by_stow(server), AE_TITLE)
        server.stop()
        for destination in (by_stow(server), by_c_store(server)):
            with pytest.raises(DestinationUnavailableError, match="does not answer"):
                deliver(result, destination, AE_TITLE)


def test_the_right_password_opens(locked_orthanc: Orthanc, result: Path, tmp_path: Path) -> None:
    """Basic authentication from a secret file is accepted."""
    (tmp_path / "password").write_text(PASSWORD + "\n")
    destination = by_stow(locked_orthanc, username="node", password_file=str(tmp_path / "password"))
    echo(destination, AE_TITLE)
    deliver(result, destination, AE_TITLE)
    assert confirm(result, destination, AE_TITLE)


@pytest.mark.parametrize("secret", [None, "wrong", "token"])
def test_a_wrong_password_is_refused(
    locked_orthanc: Orthanc, result: Path, tmp_path: Path, secret: str | None
) -> None:
    """401 cannot heal by itself; the message names the fields to look at."""
    path = tmp_path / "secret"
    path.write_text(secret or "-")
    changes: dict[str, Any] = {}
    if secret == "wrong":
        changes = {"username": "node", "password_file": str(path)}
    elif secret == "token":
        changes = {"token_file": str(path)}
    with pytest.raises(DestinationRefusedError, match=r"401.*password_file"):
        deliver(result, by_stow(locked_orthanc, **changes), AE_TITLE)


def test_a_dicom_peer_that_does_not_know_us(locked_orthanc: Orthanc, result: Path) -> None:
    """An archive that does not accept our storage contexts says so, and nothing is stored."""
    with pytest.raises((DestinationRefusedError, DestinationUnavailableError)):
        deliver(result, by_c_store(locked_orthanc), "STRANGER")


def test_a_wrong_called_ae_title_is_tried_again(orthanc: Orthanc, result: Path) -> None:
    """A rejected association is about configuration, not about the object."""
    with pytest.raises(DestinationUnavailableError, match="AE title"):
        deliver(result, by_c_store(orthanc, ae_title="SOMEONE_ELSE"), AE_TITLE)


def test_a_sop_class_that_is_not_taken_is_refused(result: Path) -> None:
    """A rejected presentation context cannot heal by trying again."""
    if orthanc_peer.missing():
        pytest.skip(str(orthanc_peer.missing()))
    syntaxes: dict[str, Any] = {
        "UnknownSopClassAccepted": False,
        "AcceptedTransferSyntaxes": ["1.2.840.10008.1.2"],
        "LittleEndianImplicitTransferSyntaxAccepted": True,
        "LittleEndianExplicitTransferSyntaxAccepted": False,
    }
    with running_orthanc(**syntaxes) as server:
        data = pydicom.dcmread(result)
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.99.1")
        data.save_as(result)
        with pytest.raises(DestinationRefusedError, match="does not accept"):
            deliver(result, by_c_store(server), AE_TITLE)


def test_an_object_that_is_no_dicom_is_refused_by_stow(orthanc: Orthanc, tmp_path: Path) -> None:
    """A damaged result file is found before anything is sent."""
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"not DICOM")
    with pytest.raises(NotFoundError, match="retry the study"):
        deliver(broken, by_stow(orthanc), AE_TITLE)


def test_a_path_that_is_not_dicomweb_is_refused(orthanc: Orthanc, result: Path) -> None:
    """404 of a wrong root is permanent."""
    with pytest.raises(DestinationRefusedError, match="404"):
        deliver(result, by_stow(orthanc, url=f"{orthanc.url}/nowhere"), AE_TITLE)


@pytest.fixture
def files(settings: Settings) -> Files:
    """Return a prepared state directory."""
    files = Files(settings.state_dir)
    files.prepare()
    return files


@pytest.fixture
def lease(store: Store, settings: Settings, files: Files, tmp_path: Path) -> Lease:
    """Return the lease of a job with two results for the destinations `orthanc` and `other`."""
    objects = [mammogram("1.2.3", view=view) for view in ("CC", "MLO")]
    with store.writing() as session:
        study = Study(study_uid="1.2.3", state="queued", revision=1, **_times())
        session.add(study)
        session.flush()
        new_job(session, study, "made by a test")
        session.flush()
        job = session.query(Job).one()
        for dataset in objects:
            path = files.result_path("1.2.3", 1, dataset.SOPInstanceUID)
            files.write(path, saved(dataset, tmp_path).read_bytes())
            job.results.append(_row(dataset, path))
        job_id = JobId(job.id)
    taken = claim(store, job_id, "first", RUNNING, settings)
    assert taken is not None
    with store.writing() as session:
        move(session, session.get_one(Job, job_id), DELIVERING, "encoded")
    lease = claim(store, job_id, "second", DELIVERING, settings)
    assert lease is not None
    return lease


def _times() -> dict[str, Any]:
    return {"first_instance_at": utc_now(), "last_instance_at": utc_now()}


def _row(dataset: pydicom.Dataset, path: str) -> Result:
    row = Result(
        kind="SEG",
        sop_instance_uid=dataset.SOPInstanceUID,
        sop_class_uid=dataset.SOPClassUID,
        series_uid=dataset.SeriesInstanceUID,
        path=path,
        size_bytes=1,
    )
    row.deliveries = [Delivery(destination=name, state="pending") for name in ("orthanc", "other")]
    return row


def states(store: Store) -> dict[str, list[str]]:
    with store.reading() as session:
        rows = session.query(Delivery).order_by(Delivery.id).all()
        return {
            name: [row.state for row in rows if row.destination == name]
            for name in ("orthanc", "other")
        }


def test_every_destination_gets_every_result(
    orthanc: Orthanc, store: Store, files: Files, lease: Lease
) -> None:
    """All are confirmed, or sent where nothing confirms; a second run does nothing."""
    pair = (by_stow(orthanc), by_c_store(orthanc, name="other", confirm="none"))
    assert deliver_results(store, files, lease, pair, AE_TITLE) == []
    assert states(store) == {"orthanc": ["confirmed"] * 2, "other": ["sent"] * 2}
    assert deliver_results(store, files, lease, pair, AE_TITLE) == []


def test_one_destination_down_keeps_nothing_from_the_other(
    orthanc: Orthanc, store: Store, files: Files, lease: Lease
) -> None:
    """What can be delivered is, the rest waits, and the next try delivers only that."""
    down = by_c_store(orthanc, name="other", port=free_port())
    with pytest.raises(DestinationUnavailableError, match="other"):
        deliver_results(store, files, lease, (by_stow(orthanc), down), AE_TITLE)
    assert states(store) == {"orthanc": ["confirmed"] * 2, "other": ["pending"] * 2}
    up = by_c_store(orthanc, name="other")
    assert deliver_results(store, files, lease, (by_stow(orthanc), up), AE_TITLE) == []
    assert states(store)["other"] == ["confirmed"] * 2


def test_a_refusal_is_recorded_and_told(
    orthanc: Orthanc, store: Store, files: Files, lease: Lease
) -> None:
    """A destination that refuses or is no longer configured ends as `refused`."""
    wrong = by_stow(orthanc, url=f"{orthanc.url}/nowhere")
    refusals = deliver_results(store, files, lease, (wrong,), AE_TITLE)
    assert len(refusals) == 2
    assert states(store) == {"orthanc": ["refused"] * 2, "other": ["refused"] * 2}
    assert any("no longer configured" in text for text in refusals)
