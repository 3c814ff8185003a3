"""Results reach a real Orthanc by both protocols, once, or the error says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import UID

from node.destinations import Destination
from node.errors import DestinationRefusedError, DestinationUnavailableError, NotFoundError
from node.settings import load_settings
from tests.conformance.dicom_tools import run
from tests.datasets import mammogram, saved
from tests.deliveries import SETTINGS, at, deliver, route
from tests.peers import orthanc as orthanc_peer
from tests.peers.needs import need
from tests.peers.orthanc import Orthanc, running_orthanc
from tests.peers.ports import free_port
from tests.results import shuttered_state
from workers.dicom.identity import read_identity
from workers.dispatch.survey import survey

PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def locked_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Return an Orthanc that asks for a password and knows no DICOM modality."""
    need(orthanc_peer.missing())
    with running_orthanc("node", PASSWORD, DicomAlwaysAllowStore=False) as server:
        yield server


def confirm(result: Path, destination: Destination) -> bool:
    with route(destination, result) as way:
        return way.is_listed(read_identity(result))


def by_stow(orthanc: Orthanc, **changes: Any) -> Destination:
    fields = {"name": "orthanc", "protocol": "stow", "url": orthanc.dicomweb_url, "confirm": "qido"}
    return Destination.model_validate(fields | changes)


def by_c_store(orthanc: Orthanc, **changes: Any) -> Destination:
    own = {"ae_title": orthanc.ae_title, "host": orthanc.host, "timeout_seconds": 60}
    return at(orthanc.dicom_port, "orthanc", **(own | changes))


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
    assert not confirm(result, destination)
    deliver(result, destination)
    deliver(result, destination)
    assert confirm(result, destination)
    sent = pydicom.dcmread(result)
    assert orthanc.sop_instance_uids().count(sent.SOPInstanceUID) == 1
    assert pydicom.dcmread(BytesIO(orthanc.file(sent.SOPInstanceUID))) == sent


@PROTOCOLS
def test_outlines_as_a_shutter_arrive_and_show(
    orthanc: Orthanc, tmp_path: Path, destination_of: Any
) -> None:
    """A state with an overlay plane comes back as sent, and is drawn on the image beside it."""
    image = mammogram(size_px=(400, 300))
    state, bits = shuttered_state(image)
    names = {"image": image, "state": state}
    for name, sent in names.items():
        deliver(saved(sent, tmp_path), destination_of(orthanc))
        (tmp_path / name).write_bytes(orthanc.file(sent.SOPInstanceUID))
        assert pydicom.dcmread(tmp_path / name) == sent
    out = tmp_path / "out.pgm"
    done = run("dcmp2pgm", "dcmtk", "-p", tmp_path / "state", tmp_path / "image", out)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.asarray(Image.open(out))[bits], 255)


@PROTOCOLS
def test_an_archive_that_answers_passes_the_check(orthanc: Orthanc, destination_of: Any) -> None:
    """`sentinode check` says that it answers, what it takes and what it confirms with."""
    well, text = survey(destination_of(orthanc), SETTINGS)
    assert well, text
    if destination_of is by_c_store:
        assert "answers C-ECHO" in text
        assert "SEG (deflated, explicit, implicit)" in text
        assert "offers C-FIND and Storage Commitment" in text
    else:
        assert text == "answers DICOMweb"


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
            attempt(result, destination)
    with pytest.raises(DestinationUnavailableError):
        survey(destination, SETTINGS)


def test_an_archive_that_dies_between_two_objects(result: Path, tmp_path: Path) -> None:
    """Before it dies the object is stored; afterwards both protocols say unavailable."""
    need(orthanc_peer.missing())
    with running_orthanc() as server:
        deliver(result, by_stow(server))
        server.stop()
        for destination in (by_stow(server), by_c_store(server)):
            with pytest.raises(DestinationUnavailableError, match="does not answer"):
                deliver(result, destination)


def test_the_right_password_opens(locked_orthanc: Orthanc, result: Path, tmp_path: Path) -> None:
    """Basic authentication from a secret file is accepted."""
    (tmp_path / "password").write_text(PASSWORD + "\n")
    destination = by_stow(locked_orthanc, username="node", password_file=str(tmp_path / "password"))
    assert survey(destination, SETTINGS)[0]
    deliver(result, destination)
    assert confirm(result, destination)


@pytest.mark.parametrize("secret", [None, "wrong", "token"])
def test_a_wrong_password_is_tried_again(
    locked_orthanc: Orthanc, result: Path, tmp_path: Path, secret: str | None
) -> None:
    """401 says nothing of the object; the message names the fields to look at."""
    path = tmp_path / "secret"
    path.write_text(secret or "-")
    changes: dict[str, Any] = {}
    if secret == "wrong":
        changes = {"username": "node", "password_file": str(path)}
    elif secret == "token":
        changes = {"token_file": str(path)}
    with pytest.raises(DestinationUnavailableError, match=r"401.*password_file"):
        deliver(result, by_stow(locked_orthanc, **changes))


def test_a_dicom_peer_that_does_not_know_us(locked_orthanc: Orthanc, result: Path) -> None:
    """An archive that does not accept our storage contexts says so, and nothing is stored."""
    with pytest.raises((DestinationRefusedError, DestinationUnavailableError)):
        deliver(result, by_c_store(locked_orthanc), load_settings(ae_title="STRANGER"))


def test_a_wrong_called_ae_title_is_tried_again(orthanc: Orthanc, result: Path) -> None:
    """A rejected association is about configuration, not about the object."""
    with pytest.raises(DestinationUnavailableError, match="AE title"):
        deliver(result, by_c_store(orthanc, ae_title="SOMEONE_ELSE"))


def test_a_sop_class_that_is_not_taken_is_refused(result: Path) -> None:
    """A rejected presentation context cannot heal by trying again."""
    need(orthanc_peer.missing())
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
            deliver(result, by_c_store(server))


def test_an_object_that_is_no_dicom_is_refused_by_stow(orthanc: Orthanc, tmp_path: Path) -> None:
    """A damaged result file is found before anything is sent."""
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"not DICOM")
    with pytest.raises(NotFoundError, match="retry the study"):
        deliver(broken, by_stow(orthanc))


def test_a_path_that_is_not_dicomweb_is_refused(orthanc: Orthanc, result: Path) -> None:
    """404 of a wrong root is permanent."""
    with pytest.raises(DestinationRefusedError, match="404"):
        deliver(result, by_stow(orthanc, url=f"{orthanc.url}/nowhere"))
