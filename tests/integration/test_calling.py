"""Calls to peers: an answer, or an error in time that says what to look at."""

from __future__ import annotations

import gc
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from node.calling import UNCOMPRESSED, VERIFICATION, calling, echo
from node.errors import DestinationRefusedError, DestinationUnavailableError
from node.health import Check, check_echo
from node.peers import Peer
from node.send import Sendable, parse_ae_title, parse_peer, send_instances
from node.settings import Settings, load_settings
from tests.integration.test_reception import started
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port
from tests.peers.receiver import wait_until
from workers.check import all_checks

_HALF_A_PDU = b"\x02\x00\x00\x00\x10\x00"  # A-ASSOCIATE-AC header that promises 4096 bytes
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def settings() -> Settings:
    """Return settings of a node; nothing is opened."""
    return load_settings()


def peer(port: int, ae_title: str = "ORTHANC", **values: object) -> Peer:
    """A peer of this machine that may be silent for half a second."""
    facts = {"ae_title": ae_title, "host": "127.0.0.1", "port": port, "timeout_seconds": 0.5}
    return Peer.model_validate(facts | values)


@contextmanager
def saying(content: bytes) -> Iterator[int]:
    """A TCP peer that answers its first message with these bytes and then stays silent."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(content)
                done.wait()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        done.set()
        thread.join()


def test_orthanc_answers(orthanc: Orthanc, settings: Settings) -> None:
    """C-ECHO to a real archive."""
    echo(peer(orthanc.dicom_port, timeout_seconds=10), settings)


@pytest.fixture
def busy() -> Iterator[None]:
    """A machine that takes the processor from every thread at every step."""
    interval, stop = sys.getswitchinterval(), threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(100))

    threads = [threading.Thread(target=compute) for _ in range(2)]
    for thread in threads:
        thread.start()
    sys.setswitchinterval(0.00001)
    yield
    sys.setswitchinterval(interval)
    stop.set()
    for thread in threads:
        thread.join()


def test_no_answer_is_lost(orthanc: Orthanc, settings: Settings, busy: None) -> None:
    """Of hundreds of answers each reaches its call; pynetdicom's own loop took one in forty."""
    target = peer(orthanc.dicom_port, timeout_seconds=10)
    with calling(target, [(VERIFICATION, UNCOMPRESSED)], settings) as association:
        statuses = [association.send_c_echo().get("Status") for _ in range(200)]
    assert statuses == [0x0000] * 200


def test_no_rejection_is_lost(tmp_path: Path, busy: None) -> None:
    """A node in full work stays ready: one rejection in forty was taken for nobody there."""
    with started(tmp_path, dicom_allowed_ae_titles="MAMMO1") as receiver:
        settings = load_settings(dicom_port=receiver.port)
        checks = [check_echo(settings) for _ in range(150)]
    assert {check.text for check in checks} == {"answers, and refuses the node's own AE title"}


def test_wrong_ae_title_is_told(orthanc: Orthanc, settings: Settings) -> None:
    """A rejection may heal, once somebody corrects an AE title."""
    with pytest.raises(DestinationUnavailableError, match="check both AE titles"):
        echo(peer(orthanc.dicom_port, "OTHER", timeout_seconds=10), settings)


# pynetdicom leaves the socket of a failed connection to the garbage collector, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nobody_there_is_told(settings: Settings) -> None:
    """A port where nothing listens."""
    with pytest.raises(DestinationUnavailableError, match=r"ORTHANC \(127.0.0.1:\d+\) does not"):
        echo(peer(free_port()), settings)
    gc.collect()


@pytest.mark.parametrize("content", [b"", _HALF_A_PDU], ids=["silence", "half a PDU"])
def test_silence_ends_in_time(settings: Settings, content: bytes) -> None:
    """A peer that says nothing, or stops in the middle of a PDU, costs its timeout and no more."""
    with saying(content) as port:
        begun = time.monotonic()
        with pytest.raises(DestinationUnavailableError, match="does not answer"):
            echo(peer(port), settings)
        assert time.monotonic() - begun < 15


def test_a_peer_that_leaves_is_tried_again(settings: Settings) -> None:
    """The next message to a peer that has aborted is no internal error; a mistake of ours stays."""
    entity = AE("LEAVER")
    entity.add_supported_context(VERIFICATION)

    def leave(event: evt.Event) -> None:
        threading.Timer(0.2, event.assoc.abort).start()

    handlers = [(evt.EVT_DIMSE_SENT, leave)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    target = peer(server.server_address[1], "LEAVER", timeout_seconds=10)
    contexts = [(VERIFICATION, UNCOMPRESSED)]
    try:
        with pytest.raises(DestinationUnavailableError, match=r"LEAVER .* has ended"):
            _echo_twice(target, settings)
        with pytest.raises(RuntimeError, match="ours"), calling(target, contexts, settings):
            raise RuntimeError("ours")
    finally:
        server.shutdown()


def _echo_twice(target: Peer, settings: Settings) -> None:
    with calling(target, [(VERIFICATION, UNCOMPRESSED)], settings) as association:
        assert association.send_c_echo().Status == 0x0000
        wait_until(lambda: not association.is_established, 10, "the end of the association")
        association.send_c_echo()


def test_refused_contexts_are_named(settings: Settings) -> None:
    """A peer without the service: trying again cannot help."""
    entity = AE("ECHO")
    entity.add_supported_context(VERIFICATION)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        target = peer(server.server_address[1], "ECHO", timeout_seconds=10)
        with (
            pytest.raises(DestinationRefusedError, match=CT),
            calling(target, [(CT, UNCOMPRESSED)], settings),
        ):
            pass
        with calling(target, [(CT, UNCOMPRESSED), (VERIFICATION, UNCOMPRESSED)], settings) as call:
            assert [each.abstract_syntax for each in call.accepted_contexts] == [VERIFICATION]
    finally:
        server.shutdown()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_echo_through_tls(tmp_path: Path, settings: Settings) -> None:
    """A peer with TLS is called by its own authority's certificate, and not without it."""
    certificate, key = tmp_path / "peer.pem", tmp_path / "peer.key"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=peer", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*request, *names, *files], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    entity = AE("SECURE")
    entity.add_supported_context(VERIFICATION)
    server = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context)
    facts = {"timeout_seconds": 10, "tls": True}
    try:
        port = server.server_address[1]
        echo(peer(port, "SECURE", ca_file=certificate, **facts), settings)
        with pytest.raises(DestinationUnavailableError):
            echo(peer(port, "SECURE", **facts), settings)
        gc.collect()
    finally:
        server.shutdown()


def test_a_caller_who_is_not_allowed_is_told_so() -> None:
    """`send` to a node with an allow-list: who was rejected, why, and that --from names another."""
    entity = AE("STRICT")
    entity.require_calling_aet = ["MAMMO1"]
    entity.add_supported_context(CT)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    image = Sendable(Path("none.dcm"), CT, "1.2.840.10008.1.2.1", "1.2")
    to = parse_peer(f"STRICT@127.0.0.1:{server.server_address[1]}")
    try:
        with pytest.raises(DestinationUnavailableError, match=r"rejects NODE: Calling.*\(--from\)"):
            send_instances([image], to, "NODE")
        with pytest.raises(FileNotFoundError):  # it was let in, and the file is not there
            send_instances([image], to, parse_ae_title("MAMMO1"))
    finally:
        server.shutdown()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_check_calls_every_peer(orthanc: Orthanc, tmp_path: Path) -> None:
    """`sentinode check` reads the peers and priors files and sends each peer a C-ECHO."""
    peers, priors = tmp_path / "peers.yaml", tmp_path / "priors.yaml"
    entry = "- {{ae_title: {0}, host: 127.0.0.1, port: {1}}}\n"
    listed = entry.format("ORTHANC", orthanc.dicom_port) + entry.format("GONE", free_port())
    peers.write_text("peers:\n" + listed)
    priors.write_text("priors:\n- {name: x, source: NOBODY, modalities: [MG], within_days: 1}\n")
    state = {"state_dir": tmp_path / "state", "broker_url": "redis://127.0.0.1:1/0"}
    checks = all_checks(load_settings(peers=peers, priors=priors, **state))
    found = {check.name: check for check in checks}
    assert found["peers"] == Check("peers", True, "2 peers")
    assert found["peer ORTHANC"] == Check("peer ORTHANC", True, "answers C-ECHO")
    assert not found["peer GONE"].ok
    assert "source NOBODY of x" in found["priors"].text
    gc.collect()
