"""Delivery to real and strict peers: syntaxes by preference, TLS, and how each failure is told."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import evt

from node.destinations import SOP_CLASS_OF_KIND, Destination
from node.errors import (
    DestinationRefusedError,
    DestinationUnavailableError,
    ObjectPostponedError,
)
from node.settings import load_settings
from tests.datasets import mammogram, saved
from tests.deliveries import EXPLICIT, SETTINGS, deliver, result_object, route
from tests.deliveries import at as dimse_at
from tests.peers import dcmtk, orthanc
from tests.peers.certificates import Authority, Certificate
from tests.peers.dcmtk import running_dcmtk
from tests.peers.dicomweb import StrictWeb, running_web
from tests.peers.needs import need
from tests.peers.orthanc import running_orthanc
from tests.peers.strict import StrictArchive, running_strict
from tests.peers.tls_front import running_tls_front
from tests.results import shuttered_state
from workers.dicom.identity import read_identity
from workers.dispatch.survey import survey

SEG = SOP_CLASS_OF_KIND["SEG"]
DEFLATED = str(DeflatedExplicitVRLittleEndian)
IMPLICIT = str(ImplicitVRLittleEndian)


@pytest.fixture
def segmentation(tmp_path: Path) -> Path:
    """Return an object of the SEG SOP class, as it lies on disk."""
    return saved(result_object("SEG"), tmp_path)


def at(port: int, **changes: Any) -> Destination:
    return dimse_at(port, **({"confirm": "none"} | changes))


def on_web(web: StrictWeb, **changes: Any) -> Destination:
    fields = {"name": "web", "protocol": "stow", "url": web.url, "timeout_seconds": 5}
    return Destination.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("program", "options", "syntax"),
    [
        ("storescp", ["+xa"], DEFLATED),
        ("storescp", ["+xe"], EXPLICIT),
        ("storescp", ["+xi"], IMPLICIT),
        ("dcmrecv", ["-xf", "/etc/dcmtk/storescp.cfg", "Default"], DEFLATED),
    ],
)
def test_dcmtk_gets_the_best_that_it_takes(
    segmentation: Path, tmp_path: Path, program: str, options: list[str], syntax: str
) -> None:
    """The same object arrives, deflated, explicit or implicit, as the receiver accepts."""
    need(dcmtk.missing(program))
    with running_dcmtk(program, tmp_path, *options) as receiver:
        assert deliver(segmentation, at(receiver.port)) == syntax
        (kept,) = receiver.kept()
    sent = pydicom.dcmread(segmentation)
    assert kept.file_meta.TransferSyntaxUID == syntax
    assert kept.file_meta.MediaStorageSOPInstanceUID == sent.SOPInstanceUID
    assert kept == sent


@pytest.mark.parametrize(("option", "syntax"), [("+xe", EXPLICIT), ("+xi", IMPLICIT)])
def test_outlines_as_a_shutter_reach_dcmtk(tmp_path: Path, option: str, syntax: str) -> None:
    """The overlay plane of a state comes through both syntaxes in which states are sent."""
    need(dcmtk.missing("storescp"))
    state, _ = shuttered_state(mammogram(size_px=(400, 300)))
    with running_dcmtk("storescp", tmp_path, option) as receiver:
        assert deliver(saved(state, tmp_path), at(receiver.port)) == syntax
        (kept,) = receiver.kept()
    assert kept == state


def test_preference_is_the_destinations(segmentation: Path, tmp_path: Path) -> None:
    """`explicit` alone is never deflated, though the receiver would take it."""
    need(dcmtk.missing("storescp"))
    with running_dcmtk("storescp", tmp_path, "+xa") as receiver:
        destination = at(receiver.port, seg_transfer_syntaxes=["explicit"])
        assert deliver(segmentation, destination) == EXPLICIT


@pytest.mark.parametrize("status", [0xC000, 0xA900, 0x0110])
def test_a_syntax_that_is_accepted_and_not_read(segmentation: Path, status: int) -> None:
    """An archive that accepts deflated and then cannot understand it gets the object explicit."""

    def cannot_inflate(event: evt.Event) -> int:
        return status if event.context.transfer_syntax == DEFLATED else 0x0000

    archive = StrictArchive(store_status=cannot_inflate)
    with running_strict({SEG: [DEFLATED, EXPLICIT]}, archive):
        assert deliver(segmentation, at(archive.port)) == EXPLICIT
    assert list(archive.kept.values()) == [[EXPLICIT]]


def test_one_association_small_pdus_and_slow(tmp_path: Path) -> None:
    """An archive with one association, PDUs of 16 kB and a second for each object gets all."""
    large = result_object("SC")
    large.Rows, large.Columns = 2048, 2048
    large.PixelData = bytes(2 * 2048 * 2048)
    paths = [saved(large, tmp_path), saved(result_object("SC"), tmp_path)]
    archive = StrictArchive(pause_seconds=1)
    taken = {SOP_CLASS_OF_KIND["SC"]: [EXPLICIT]}
    identities = [read_identity(path) for path in paths]
    with (
        running_strict(taken, archive, most_associations=1),
        route(at(archive.port), *paths) as way,
    ):
        for path, identity in zip(paths, identities, strict=True):
            assert way.store(path, identity) == EXPLICIT
        with pytest.raises(DestinationUnavailableError, match="Local limit exceeded"):
            deliver(paths[0], at(archive.port))
    assert archive.kept_uids == {each.sop_instance_uid for each in identities}
    assert archive.calls == 1


def test_a_slow_line_is_no_silence(tmp_path: Path) -> None:
    """An object that takes longer than the timeout arrives, as long as its bytes keep going."""
    large = result_object("SC")
    large.Rows, large.Columns = 2560, 2048
    large.PixelData = bytes(2 * 2560 * 2048)
    path = saved(large, tmp_path)
    archive = StrictArchive(pdu_seconds=0.005)
    with running_strict({SOP_CLASS_OF_KIND["SC"]: [EXPLICIT]}, archive):
        begin = time.monotonic()
        deliver(path, at(archive.port, timeout_seconds=2))
        assert time.monotonic() - begin > 3
    assert len(archive.kept) == 1


def test_check_tells_what_an_archive_takes() -> None:
    """A kind that is not taken and a confirmation that is not offered make the check fail."""
    with running_strict({SEG: [EXPLICIT]}, services=()) as archive:
        well, text = survey(at(archive.port, kinds=["SEG", "KOS"], confirm="c-find"), SETTINGS)
    assert not well
    assert text == (
        "answers C-ECHO; takes SEG (explicit); offers nothing to confirm with; "
        "does not take KOS: take them out of `kinds`"
    )


def test_check_tells_that_rejection_notes_are_not_taken() -> None:
    """They are key object selections, which a destination may need without listing the kind."""
    fields = {"kinds": ["SEG"], "confirm": "c-find", "replace": "rejection-note"}
    with running_strict({SEG: [EXPLICIT]}) as archive:
        well, text = survey(at(archive.port, **fields), SETTINGS)
    assert not well
    assert text.endswith("; does not take rejection notes: set another `replace`")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--abort-during"], "no answer to C-STORE"),
        (["--abort-after"], "no answer to C-STORE"),
        (["--refuse"], "rejects the association"),
    ],
)
def test_a_peer_that_fails_in_the_middle(
    segmentation: Path, tmp_path: Path, options: list[str], reason: str
) -> None:
    """Whatever breaks off, nothing is taken for delivered and the reason is told."""
    need(dcmtk.missing("storescp"))
    with running_dcmtk("storescp", tmp_path, *options) as receiver:
        destination = at(receiver.port, timeout_seconds=10)
        with pytest.raises(DestinationUnavailableError, match=reason):
            deliver(segmentation, destination)


def test_a_peer_that_takes_too_long(segmentation: Path) -> None:
    """An archive that does not answer a C-STORE in time may have stored it: it is tried again."""
    archive = StrictArchive(pause_seconds=3)
    with (
        running_strict({SEG: [EXPLICIT]}, archive),
        pytest.raises(DestinationUnavailableError, match="no answer to C-STORE"),
    ):
        deliver(segmentation, at(archive.port, timeout_seconds=1))


@pytest.mark.parametrize("protocol", ["c-store", "stow"])
def test_a_peer_that_is_silent(segmentation: Path, protocol: str) -> None:
    """A port that takes connections and says nothing costs the timeout, no more."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        destination = at(port, protocol=protocol, url=url, timeout_seconds=1)
        begin = time.monotonic()
        with pytest.raises(DestinationUnavailableError, match="does not answer"):
            deliver(segmentation, destination)
        assert time.monotonic() - begin < 5


@dataclass(frozen=True)
class Certificates:
    """One authority with a server and a client, a server that has expired, and a stranger."""

    server: Certificate
    client: Certificate
    expired: Certificate
    stranger: Certificate


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return the certificates of this module."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, other = Authority(folder, "ours"), Authority(folder, "other")
    return Certificates(
        ours.certificate("server"),
        ours.certificate("client"),
        ours.certificate("expired", valid_days=-1),
        other.certificate("stranger"),
    )


def over_tls(port: int, certificates: Certificates, **changes: Any) -> Destination:
    tls = {
        "tls": True,
        "ca_file": certificates.server.ca,
        "certificate_file": certificates.client.chain,
        "key_file": certificates.client.key,
    }
    return at(port, **(tls | changes))


def test_dcmtk_over_mutual_tls(
    segmentation: Path, tmp_path: Path, certificates: Certificates
) -> None:
    """storescp verifies our certificate and we its; without the right ones nothing is sent."""
    need(dcmtk.missing("storescp"))
    stranger = certificates.stranger
    with running_dcmtk("storescp", tmp_path, certificate=certificates.server) as receiver:
        deliver(segmentation, over_tls(receiver.port, certificates))
        wrong = over_tls(receiver.port, certificates, ca_file=stranger.ca)
        with pytest.raises(
            DestinationUnavailableError, match="certificate is not accepted: self-signed"
        ):
            deliver(segmentation, wrong)
        none = over_tls(receiver.port, certificates, certificate_file=None, key_file=None)
        with pytest.raises(DestinationUnavailableError, match="accept our certificate"):
            deliver(segmentation, none)
        # As for peers, the node's own certificate is shown where the destination has none.
        own = {
            "dicom_tls_certificate": certificates.client.chain,
            "dicom_tls_key": certificates.client.key,
        }
        deliver(segmentation, none, load_settings(**own))
        with pytest.raises(DestinationUnavailableError, match="does not answer"):
            deliver(segmentation, at(receiver.port))
        assert len(receiver.kept()) == 1


def test_an_expired_certificate(
    segmentation: Path, tmp_path: Path, certificates: Certificates
) -> None:
    """The reason says so, and it may be renewed: tried again."""
    need(dcmtk.missing("storescp"))
    with running_dcmtk("storescp", tmp_path, certificate=certificates.expired) as receiver:
        with pytest.raises(
            DestinationUnavailableError,
            match="certificate is not accepted: certificate has expired",
        ):
            deliver(segmentation, over_tls(receiver.port, certificates))
        assert receiver.kept() == []


def test_a_revoked_certificate(segmentation: Path, tmp_path: Path) -> None:
    """The list behind the authority in `ca_file` names it: nothing is sent."""
    need(dcmtk.missing("storescp"))
    authority = Authority(tmp_path, "authority")
    stolen = Certificates(*(authority.certificate(each) for each in ("server", "client", "a", "b")))
    with running_dcmtk("storescp", tmp_path, certificate=stolen.server) as receiver:
        deliver(segmentation, over_tls(receiver.port, stolen))
        with stolen.server.ca.open("ab") as ca_file:
            ca_file.write(authority.revokes(stolen.server))
        with pytest.raises(DestinationUnavailableError, match="certificate revoked"):
            deliver(segmentation, over_tls(receiver.port, stolen))
        assert len(receiver.kept()) == 1


@pytest.fixture(scope="module")
def secured(certificates: Certificates) -> Iterator[orthanc.Orthanc]:
    """Return an Orthanc with a password and mutual DICOM TLS."""
    need(orthanc.missing())
    tls = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(certificates.server.chain),
        "DicomTlsPrivateKey": str(certificates.server.key),
        "DicomTlsTrustedCertificates": str(certificates.server.ca),
    }
    with running_orthanc("node", "open sesame", **tls) as server:
        yield server


@pytest.fixture(scope="module")
def https(secured: orthanc.Orthanc, certificates: Certificates) -> Iterator[str]:
    """Return its DICOMweb root behind a proxy: Debian's Orthanc 1.10.1 dies of HTTPS itself."""
    with running_tls_front(secured.http_port, certificates.server) as port:
        yield f"https://127.0.0.1:{port}/dicom-web"


def test_orthanc_with_password_over_https(
    https: str, certificates: Certificates, segmentation: Path, tmp_path: Path
) -> None:
    """STOW-RS and QIDO-RS with basic authentication and the hospital's own authority."""
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    fields = {
        "name": "orthanc",
        "protocol": "stow",
        "url": https,
        "username": "node",
        "password_file": secret,
        "ca_file": certificates.server.ca,
        "confirm": "qido",
    }
    destination = Destination.model_validate(fields)
    identity = read_identity(segmentation)
    with route(destination, segmentation) as way:
        assert not way.is_listed(identity)
        assert way.store(segmentation, identity) == DEFLATED
        assert way.is_listed(identity)
    assert survey(destination, SETTINGS) == (True, "answers DICOMweb")
    wrong = destination.model_copy(update={"ca_file": certificates.stranger.ca})
    with pytest.raises(DestinationUnavailableError, match="certificate verify failed"):
        deliver(segmentation, wrong)
    secret.write_text("wrong")
    with pytest.raises(DestinationUnavailableError, match="401"):
        deliver(segmentation, destination)


def test_orthanc_over_dicom_tls(
    secured: orthanc.Orthanc, certificates: Certificates, segmentation: Path
) -> None:
    """C-STORE and C-FIND with certificates on both sides."""
    secured.clear()
    title = {"ae_title": secured.ae_title, "confirm": "c-find"}
    destination = over_tls(secured.dicom_port, certificates, **title)
    identity = read_identity(segmentation)
    with route(destination, segmentation) as way:
        assert way.store(segmentation, identity) == DEFLATED
        assert way.is_listed(identity)
    assert secured.sop_instance_uids() == [identity.sop_instance_uid]
    stranger = certificates.stranger
    wrong = {"certificate_file": stranger.chain, "key_file": stranger.key}
    with pytest.raises(DestinationUnavailableError, match="accept our certificate"):
        deliver(segmentation, destination.model_copy(update=wrong))


@pytest.mark.parametrize(
    "refusal", [(415, None), (400, None), (409, 0xC122), (202, 0x0110), (409, None)]
)
def test_web_falls_back_to_explicit(segmentation: Path, refusal: tuple[int, int | None]) -> None:
    """However an archive says that it cannot read deflated, explicit is next, and stays so."""
    with running_web(StrictWeb(refusal=refusal)) as web:
        identity = read_identity(segmentation)
        with route(on_web(web), segmentation) as way:
            assert way.store(segmentation, identity) == EXPLICIT
            assert way.store(segmentation, identity) == EXPLICIT
    assert web.seen == [DEFLATED, EXPLICIT, EXPLICIT]
    assert web.kept == [identity.sop_instance_uid] * 2


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        ((409, 0xA700), DestinationUnavailableError, "out of resources"),
        ((503, None), DestinationUnavailableError, "503"),
        ((507, None), DestinationUnavailableError, "507"),
        ((409, 0x0110), ObjectPostponedError, "0x0110"),
        ((202, 0x0213), ObjectPostponedError, "0x0213"),
        ((409, 0xA900), DestinationRefusedError, "0xA900"),
        ((404, None), DestinationRefusedError, "404"),
        ((302, None), DestinationRefusedError, "302"),
    ],
)
def test_what_a_web_archive_says(
    segmentation: Path, answer: tuple[int, int | None], error: type[Exception], reason: str
) -> None:
    """A full, busy or stumbling archive is tried again; a refusal in every syntax is final."""
    with running_web(StrictWeb(always=answer)) as web, pytest.raises(error, match=reason):
        deliver(segmentation, on_web(web))


_XML = (
    '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
    '<DicomAttribute tag="00081198" vr="SQ"><Item number="1">'
    '<DicomAttribute tag="00081197" vr="US"><Value number="1">{}</Value></DicomAttribute>'
    "</Item></DicomAttribute></NativeDicomModel>"
)
_OTHER_FAILURE = b'{"0008119A": {"vr": "SQ", "Value": [{"00081197": {"Value": [43264]}}]}}'


@pytest.mark.parametrize(
    ("status", "fields", "body", "error", "reason"),
    [
        (202, "application/dicom+xml", _XML.format(0xA900), DestinationRefusedError, "0xA900"),
        (
            409,
            "application/dicom+xml",
            _XML.format(0xA700),
            DestinationUnavailableError,
            "out of res",
        ),
        (202, "text/plain", _OTHER_FAILURE.decode(), DestinationRefusedError, "0xA900"),
        (200, "application/dicom+json", _OTHER_FAILURE.decode(), DestinationRefusedError, "0xA900"),
        (409, "text/html", "<html>no</html>", DestinationRefusedError, "gave no reason"),
    ],
)
def test_a_failure_is_seen_in_whatever_form(
    segmentation: Path, status: int, fields: str, body: str, error: type[Exception], reason: str
) -> None:
    """XML, another content type, Other Failures: what is overlooked would count as delivered."""
    raw = (status, {"Content-Type": fields}, body.encode())
    with running_web(StrictWeb(raw=raw)) as web, pytest.raises(error, match=reason):
        deliver(segmentation, on_web(web))


def test_it_has_the_object_and_says_so_in_xml(segmentation: Path) -> None:
    """0111 is success in this form too."""
    raw = (409, {"Content-Type": "application/dicom+xml"}, _XML.format(0x0111).encode())
    with running_web(StrictWeb(raw=raw)) as web:
        assert deliver(segmentation, on_web(web)) == DEFLATED


def test_an_answer_that_cannot_be_unpacked_is_no_answer(segmentation: Path) -> None:
    """A broken proxy: tried again, and the other destinations of the study get theirs."""
    raw = (200, {"Content-Encoding": "gzip", "Content-Type": "application/dicom+json"}, b"plain")
    with (
        running_web(StrictWeb(raw=raw)) as web,
        pytest.raises(DestinationUnavailableError, match="does not answer"),
    ):
        deliver(segmentation, on_web(web))


def test_bearer_token(segmentation: Path, tmp_path: Path) -> None:
    """The token is read for each visit: a new one needs no restart."""
    secret = tmp_path / "token"
    secret.write_text("old")
    with running_web(StrictWeb(token="new")) as web:
        destination = on_web(web, token_file=secret)
        with pytest.raises(DestinationUnavailableError, match=r"401.*token_file"):
            deliver(segmentation, destination)
        secret.write_text("new\n")
        assert deliver(segmentation, destination) == EXPLICIT
