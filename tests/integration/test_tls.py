"""DICOM over TLS with real peers: DCMTK, openssl and pynetdicom, good certificates and bad."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pynetdicom import AE

from tests.datasets import mammogram, saved
from tests.peers.certificates import Authority, Certificate, client_context
from tests.peers.node import sentinode
from tests.peers.ports import free_port, listens
from tests.peers.raw import MAMMOGRAPHY, VERIFICATION, RawPeer
from tests.peers.receiver import RunningReceiver, running_receiver


@dataclass(frozen=True)
class Mutual:
    """A receiver that wants client certificates, and the certificates of this test."""

    receiver: RunningReceiver
    authority: Authority
    server: Certificate
    client: Certificate


@contextmanager
def running_with_tls(folder: Path, **more: object) -> Iterator[Mutual]:
    """Run a receiver with a TLS port."""
    authority = Authority(folder, "authority")
    server, client = authority.certificate("server"), authority.certificate("client")
    settings = {
        "dicom_tls_port": free_port(),
        "dicom_tls_certificate": server.chain,
        "dicom_tls_key": server.key,
        "dicom_tls_client_ca": authority.ca,
    }
    with running_receiver(folder, **settings | more) as receiver:
        yield Mutual(receiver, authority, server, client)


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mutual]:
    """One receiver with mutual TLS for all tests that leave its certificates alone."""
    with running_with_tls(tmp_path_factory.mktemp("mutual")) as mutual:
        yield mutual


def dcmtk(
    tool: str, mutual: Mutual, *arguments: str, client: Certificate | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a DCMTK tool against the TLS port with a client certificate."""
    shown = client or mutual.client
    tls = ["+tls", str(shown.key), str(shown.chain), "+cf", str(mutual.authority.ca)]
    address = ["-aec", "SENTINODE", "127.0.0.1", str(mutual.receiver.tls_port)]
    return run(tool, *tls, *address, *arguments)


def run(*argv: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(argv, input=said, capture_output=True, text=True, timeout=60)


def s_client(mutual: Mutual, *options: str) -> str:
    """What openssl's client says of a handshake that it may or may not get."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    address = f"127.0.0.1:{mutual.receiver.tls_port}"
    shown = ["-cert", str(mutual.client.chain), "-key", str(mutual.client.key)]
    # Security level 0: else it is openssl's own client that refuses the old and weak.
    weak = ["-cipher", "ALL:eNULL:@SECLEVEL=0"] if "-cipher" not in options else []
    done = run("openssl", "s_client", "-connect", address, *shown, *weak, *options)
    return done.stdout + done.stderr


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_dcmtk_stores_with_each_of_its_profiles(
    mutual: Mutual, tmp_path: Path, profile: str
) -> None:
    """storescu stores with the BCP 195 profile, the non-downgrading and the extended one."""
    path = saved(mammogram(), tmp_path)
    done = dcmtk("storescu", mutual, profile, str(path))
    assert done.returncode == 0, done.stderr


def test_pynetdicom_stores(mutual: Mutual) -> None:
    """pynetdicom stores with `tls_args`."""
    entity = AE("MODALITY")
    entity.add_requested_context(MAMMOGRAPHY)
    context = client_context(mutual.authority.ca, mutual.client)
    association = entity.associate(
        "127.0.0.1", mutual.receiver.tls_port, tls_args=(context, "localhost")
    )
    assert association.is_established
    assert association.send_c_store(mammogram()).Status == 0x0000
    association.release()


@pytest.mark.parametrize(("version", "name"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_current_versions_are_spoken(mutual: Mutual, version: str, name: str) -> None:
    """TLS 1.2 and 1.3 are negotiated."""
    said = s_client(mutual, version)
    assert f"Protocol  : {name}" in said or f"New, {name}" in said
    assert "Cipher is (NONE)" not in said


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(mutual: Mutual, version: str) -> None:
    """TLS 1.0 and 1.1 end with the alert that says so."""
    said = s_client(mutual, version)
    assert "Cipher is (NONE)" in said
    assert "alert protocol version" in said


@pytest.mark.parametrize(
    "suite",
    [
        "AES128-SHA",
        "AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-SHA",
        "NULL-SHA256",
        "ADH-AES128-GCM-SHA256",
    ],
)
def test_weak_suites_are_refused(mutual: Mutual, suite: str) -> None:
    """No forward secrecy, no authenticated encryption, no encryption, no authentication."""
    said = s_client(mutual, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
    assert "Cipher is (NONE)" in said
    assert "alert handshake failure" in said


def test_dcmtk_with_the_retired_profiles_is_refused(mutual: Mutual) -> None:
    """The AES and the null profile know no suite that the node takes."""
    for profile in ("+pa", "+pn"):
        assert dcmtk("echoscu", mutual, profile).returncode != 0


def test_anonymous_client_is_refused(mutual: Mutual) -> None:
    """DCMTK without a certificate cannot associate, and the log says why."""
    address = ["127.0.0.1", str(mutual.receiver.tls_port)]
    done = run("echoscu", "+tla", "-ic", *address)
    assert done.returncode != 0
    assert mutual.receiver.wait_for_log("it shows no client certificate")["peer_host"]


def test_sender_that_distrusts_the_node(mutual: Mutual, tmp_path: Path) -> None:
    """A device without the authority of the node's certificate: the log says whose fault it is."""
    stranger = Authority(tmp_path, "stranger")
    context = client_context(stranger.ca, mutual.client)
    with pytest.raises(ssl.SSLCertVerificationError):
        RawPeer(mutual.receiver.tls_port, tls=context)
    assert mutual.receiver.wait_for_log("it does not accept the certificate of this node")


@pytest.mark.parametrize(
    ("days", "own_authority", "reason"),
    [(30, False, "unable to get local issuer"), (-1, True, "certificate has expired")],
)
def test_bad_client_certificate_is_refused(
    mutual: Mutual, tmp_path: Path, days: int, own_authority: bool, reason: str
) -> None:
    """A certificate of another authority, or past its time; the log says which."""
    authority = mutual.authority if own_authority else Authority(tmp_path, "stranger")
    bad = authority.certificate(f"bad{days}", valid_days=days)
    done = dcmtk("echoscu", mutual, client=bad)
    assert done.returncode != 0
    assert mutual.receiver.wait_for_log(reason)["message"] == "connection dropped"
    assert dcmtk("echoscu", mutual).returncode == 0


def test_revoked_client_certificate_is_refused(tmp_path: Path) -> None:
    """From the moment that the list of the authority stands beside it; others get in as before."""
    with running_with_tls(tmp_path) as mutual:
        stolen, ca = mutual.authority.certificate("stolen"), mutual.authority.ca
        assert dcmtk("echoscu", mutual, client=stolen).returncode == 0
        authority = ca.read_bytes()
        ca.write_bytes(authority + mutual.authority.revokes(stolen))
        assert dcmtk("echoscu", mutual, client=stolen).returncode != 0
        mutual.receiver.wait_for_log("certificate revoked")
        assert dcmtk("echoscu", mutual).returncode == 0
        ca.write_bytes(authority + mutual.authority.revokes(stolen, valid_days=-1))
        assert dcmtk("echoscu", mutual).returncode != 0
        mutual.receiver.wait_for_log("CRL has expired")


def test_plain_sender_on_the_tls_port_is_dropped(mutual: Mutual) -> None:
    """DICOM without TLS does not get in by the TLS port, nor TLS by the plain one."""
    assert run("echoscu", "127.0.0.1", str(mutual.receiver.tls_port)).returncode != 0
    assert mutual.receiver.wait_for_log("it does not speak TLS to a port with TLS")
    swapped = ["+tla", "-ic", "127.0.0.1", str(mutual.receiver.port)]
    assert run("echoscu", *swapped).returncode != 0
    assert mutual.receiver.wait_for_log("it speaks TLS to a port without TLS")
    assert run("echoscu", "127.0.0.1", str(mutual.receiver.port)).returncode == 0


def test_without_the_plain_port(tmp_path: Path) -> None:
    """With DICOM_PLAIN=0 the TLS port alone is open."""
    with running_with_tls(tmp_path, dicom_plain=0) as mutual:
        assert not listens(mutual.receiver.port)
        assert dcmtk("echoscu", mutual).returncode == 0


def test_health_checks_without_the_plain_port(tmp_path: Path) -> None:
    """`sentinode probe` asks the TLS port, and who looks whether it is open stands in no log."""
    beat = tmp_path / "beat"
    with running_with_tls(tmp_path, dicom_plain=0, beat_file=beat) as mutual:
        ports = {"dicom_port": mutual.receiver.port, "dicom_tls_port": mutual.receiver.tls_port}
        sentinode(ports | {"dicom_plain": "False"}, "probe", "receive", "--file", str(beat))
        # Closed in order, and as some balancers do.
        for linger in (struct.pack("ii", 0, 0), struct.pack("ii", 1, 0)):
            with socket.create_connection(("127.0.0.1", ports["dicom_tls_port"])) as check:
                check.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        assert run("echoscu", "127.0.0.1", str(ports["dicom_tls_port"])).returncode != 0
        mutual.receiver.wait_for_log("it does not speak TLS to a port with TLS")
        lines = mutual.receiver.log_lines()
        assert [line["message"] for line in lines].count("connection dropped") == 1
        assert "more before" not in str(lines)


def test_what_is_wrong_with_tls_is_said_at_the_start(tmp_path: Path) -> None:
    """An encrypted key asks nobody for its passphrase; a client CA without TLS protects nothing."""
    server = Authority(tmp_path, "authority").certificate("server")
    encrypted = tmp_path / "encrypted.key"
    arguments = ("-aes256", "-passout", "pass:secret", "-in", server.key, "-out", encrypted)
    assert run("openssl", "rsa", *map(str, arguments)).returncode == 0
    chosen = {"state_dir": tmp_path / "state", "dicom_port": free_port()}
    secured = chosen | {"dicom_tls_port": free_port(), "dicom_tls_certificate": server.chain}
    sentinode(chosen, "db", "upgrade")
    assert "openssl pkey" in _refused(secured | {"dicom_tls_key": encrypted})
    assert "DICOM_TLS_PORT" in _refused(chosen | {"dicom_tls_client_ca": server.ca})


def _refused(settings: dict[str, object]) -> str:
    """The one line with which a receiver ends that cannot start."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        sentinode(settings, "run", "receive")
    (said,) = failed.value.stderr.splitlines()
    return str(said)


def serial_shown(mutual: Mutual) -> int:
    """Serial number of the certificate that a new handshake shows."""
    context = client_context(mutual.authority.ca, mutual.client)
    context.check_hostname = False
    with RawPeer(mutual.receiver.tls_port, tls=context) as peer:
        assert isinstance(peer.socket, ssl.SSLSocket)
        shown = peer.socket.getpeercert()
        assert shown
        return int(str(shown["serialNumber"]), 16)


def test_certificate_is_renewed_without_dropping_anyone(tmp_path: Path) -> None:
    """An open association goes on; the next handshake shows the new certificate.

    A broken replacement leaves the last good one in force, and the log says so once. Each process
    looks for itself, at its next handshake; here it is one.
    """
    with running_with_tls(tmp_path, dicom_processes=1) as mutual:
        assert serial_shown(mutual) == mutual.server.serial_number
        entity = AE("MODALITY")
        entity.add_requested_context(VERIFICATION)
        context = client_context(mutual.authority.ca, mutual.client)
        association = entity.associate(
            "127.0.0.1", mutual.receiver.tls_port, tls_args=(context, "localhost")
        )
        renewed = mutual.authority.certificate("server")
        assert serial_shown(mutual) == renewed.serial_number != mutual.server.serial_number
        assert association.send_c_echo().Status == 0x0000
        mutual.server.chain.write_text("half a certif")
        assert serial_shown(mutual) == serial_shown(mutual) == renewed.serial_number
        assert association.send_c_echo().Status == 0x0000
        association.release()
        lines = [line["message"] for line in mutual.receiver.log_lines()]
        assert sum("not renewed" in line for line in lines) == 1
        again = mutual.authority.certificate("server")
        assert serial_shown(mutual) == again.serial_number
