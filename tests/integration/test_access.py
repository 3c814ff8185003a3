"""Who may associate: AE titles, networks, limits by host and in all, and for how long."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from sqlalchemy import select

from node.access import host_allowed
from node.errors import ConfigurationError
from node.settings import load_settings
from node.store.session import open_store
from node.store.tables import Instance
from tests.datasets import mammogram
from tests.peers.busy import busy_sender
from tests.peers.ports import listens
from tests.peers.raw import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    C_ECHO_RQ,
    C_FIND_RQ,
    MAMMOGRAPHY,
    P_DATA,
    STUDY_ROOT_FIND,
    VERIFICATION,
    RawPeer,
    associate_rq,
    command,
    item,
    pdu,
    pdv,
)
from tests.peers.receiver import RunningReceiver, running_receiver, wait_until
from tests.peers.wire import associate

# Result, source, reason of PS3.8 table 9-21.
ACCEPTED = None
CALLING_AE_NOT_RECOGNISED = (1, 1, 3)
CALLED_AE_NOT_RECOGNISED = (1, 1, 7)
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)


def answer(
    receiver: RunningReceiver,
    source: str = "127.0.0.1",
    called: str = "SENTINODE",
    calling: str = "MAMMO1",
    held: ExitStack | None = None,
) -> tuple[int, int, int] | None:
    """What a request of this peer is answered; an accepted association stays open in `held`."""
    with ExitStack() as own:
        peer = (held or own).enter_context(RawPeer(receiver.port, source))
        peer.send(associate_rq(called=called, calling=calling))
        kind, body = peer.receive()
        assert kind in (ASSOCIATE_AC, ASSOCIATE_RJ)
        return None if kind == ASSOCIATE_AC else (body[1], body[2], body[3])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """A receiver with every check on, that listens on IPv4 and IPv6 with one socket."""
    with running_receiver(
        tmp_path_factory.mktemp("guarded"),
        dicom_host="::",
        dicom_allowed_ae_titles="MAMMO1, MAMMO2",
        dicom_allowed_networks="127.0.0.1/32, 127.0.0.2/31",
        dicom_require_called_ae_title=True,
        dicom_max_associations=6,
        dicom_max_associations_per_host=4,
    ) as receiver:
        yield receiver


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({}, ACCEPTED),
        ({"calling": "MAMMO2", "source": "127.0.0.3"}, ACCEPTED),
        ({"calling": "STRANGER"}, CALLING_AE_NOT_RECOGNISED),
        ({"called": "OTHER"}, CALLED_AE_NOT_RECOGNISED),
        ({"source": "127.0.0.4"}, CALLING_AE_NOT_RECOGNISED),
    ],
)
def test_peers_are_told_apart(
    guarded: RunningReceiver, peer: dict[str, str], expected: tuple[int, int, int] | None
) -> None:
    """A rejection says which part of the request was not recognised; the log says who it was.

    The peers are IPv4 hosts on a dual-stack socket, which shows them as ::ffff:127.0.0.1.
    """
    logged = len(_rejections(guarded))
    assert answer(guarded, **peer) == expected
    if expected:
        # The line is written after the answer.
        wait_until(lambda: len(_rejections(guarded)) > logged, 10.0, "a log line")
        assert _rejections(guarded)[-1]["peer_host"] == peer.get("source", "127.0.0.1")


def _rejections(receiver: RunningReceiver) -> list[dict[str, Any]]:
    return [line for line in receiver.log_lines() if "rejected" in line["message"]]


def test_titles_padded_with_nul(guarded: RunningReceiver) -> None:
    """Some devices pad with NUL what PS3.8 pads with spaces; they are who they say."""
    assert answer(guarded, called="SENTINODE".ljust(16, "\0"), calling="MAMMO1\0\0") == ACCEPTED


def _query(priority: int = 0) -> bytes:
    """A C-FIND-RQ in the first context, with an empty identifier."""
    asked = command(C_FIND_RQ, STUDY_ROOT_FIND).replace(
        b"\x00\x07\2\0\0\0\0\0", b"\x00\x07\2\0\0\0" + bytes([priority, 0])
    )
    return pdu(P_DATA, pdv(1, 3, asked) + pdv(1, 2, b""))


@pytest.mark.parametrize(
    ("sop_class_uid", "sent", "reason"),
    [
        (STUDY_ROOT_FIND, _query(priority=5), "cannot be understood"),
        (VERIFICATION, _query(), "its presentation context does not serve"),
        (VERIFICATION, pdu(9, b"1234"), "cannot be understood"),
    ],
    ids=["priority", "context", "PDU"],
)
def test_the_log_says_why_an_association_is_aborted(
    tmp_path: Path, sop_class_uid: str, sent: bytes, reason: str
) -> None:
    """What pynetdicom gives up on is told too, and once."""
    with running_receiver(tmp_path) as receiver, RawPeer(receiver.port) as peer:
        peer.associate(sop_class_uid)
        peer.send(sent)
        assert peer.receive()[0] == ABORT
        receiver.wait_for_log(reason)
        assert sum("dropped" in line["message"] for line in receiver.log_lines()) == 1


@pytest.mark.parametrize(
    "user",
    [
        item(0x55, b"A_NAME_OF_20_LETTERS"),  # Implementation Version Name, 16 at most
        item(0x55, b"VERSION_1\0"),
        item(0x55, "GRÖSSE_1".encode("latin-1")),
        item(0x55, b"SUITE\\1"),
        item(0x58, b"\x09\1\0\1A\0\0"),  # User Identity of a type that is not defined
        item(0x58, b"\x01"),
        item(0x56, b"\0\x05A"),  # SOP Class Extended Negotiation, cut off
        item(0x5F, b"whatever comes after PS3.7 2026"),
    ],
)
def test_what_is_not_used_of_a_request_is_not_judged(guarded: RunningReceiver, user: bytes) -> None:
    """A device whose version name is too long connects, and one that is newer than the node."""
    with RawPeer(guarded.port, "127.0.0.1") as peer:
        peer.send(associate_rq(calling="MAMMO1", user=user))
        assert peer.receive()[0] == ASSOCIATE_AC
        peer.send(pdu(P_DATA, pdv(1, 3, command(C_ECHO_RQ, VERIFICATION))))
        assert peer.receive()[0] == P_DATA


def test_another_application_context(guarded: RunningReceiver) -> None:
    """It is rejected as PS3.8 says, and not served as if it were DICOM's."""
    with RawPeer(guarded.port, "127.0.0.1") as peer:
        request = associate_rq(calling="MAMMO1")
        peer.send(request.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"))
        kind, body = peer.receive()
    assert (kind, *body[1:4]) == (ASSOCIATE_RJ, 1, 1, 2)


def test_another_protocol_version(guarded: RunningReceiver) -> None:
    """Without bit 0 of Protocol-version (PS3.8 table 9-11) the request is not for us."""
    with RawPeer(guarded.port, "127.0.0.1") as peer:
        request = bytearray(associate_rq(calling="MAMMO1"))
        request[6:8] = b"\x00\x02"
        peer.send(bytes(request))
        kind, body = peer.receive()
    assert (kind, *body[1:4]) == (ASSOCIATE_RJ, 1, 2, 2)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (associate_rq(calling=""), "empty AE title"),
        (associate_rq(called="SENTI\nNODE"), "not ASCII"),
        (associate_rq(calling="MAMMO\\1"), "has a backslash"),
        (associate_rq().replace(b"\x30\0\0", b"\x30\0\xff"), "cannot be decoded"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "speaks TLS to a port without TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "no DICOM association request"),
    ],
)
def test_the_log_says_why_a_peer_is_aborted(
    guarded: RunningReceiver, sent: bytes, reason: str
) -> None:
    """Whoever connects a device reads there what is wrong with it."""
    with RawPeer(guarded.port, "127.0.0.2") as peer:
        peer.send(sent)
        assert peer.receive()[0] == ABORT
    assert guarded.wait_for_log(reason)["peer_host"] == "127.0.0.2"


def test_one_host_does_not_take_all_places(guarded: RunningReceiver) -> None:
    """The fifth association of a host is rejected for now, another host gets in, until all are.

    A place is free again once its association has ended; rejected requests take none.
    """
    with ExitStack() as held:
        for _ in range(4):
            assert answer(guarded, "127.0.0.2", held=held) == ACCEPTED
        for _ in range(5):
            assert answer(guarded, "127.0.0.2") == LOCAL_LIMIT_EXCEEDED
        for _ in range(2):
            assert answer(guarded, "127.0.0.3", held=held) == ACCEPTED
        assert answer(guarded, "127.0.0.1") == LOCAL_LIMIT_EXCEEDED
    wait_until(lambda: answer(guarded, "127.0.0.2") == ACCEPTED, 10, "a place is free again")


def test_request_without_its_class(guarded: RunningReceiver) -> None:
    """A C-ECHO-RQ that does not say of which class it is gets an abort, and not silence."""
    encoded = command(C_ECHO_RQ, VERIFICATION)
    start = encoded.index(VERIFICATION.encode()) - 8
    with RawPeer(guarded.port, "127.0.0.2") as peer:
        peer.associate(VERIFICATION, calling="MAMMO1")
        peer.send(pdu(P_DATA, pdv(1, 3, encoded[:start] + encoded[start + 8 + 18 :])))
        assert peer.receive()[0] == ABORT
    assert guarded.wait_for_log("lacks a mandatory element")["peer_host"] == "127.0.0.2"


@pytest.mark.parametrize("processes", [1, 2])
def test_both_versions_of_ip_on_one_port(tmp_path: Path, processes: int) -> None:
    """`::` serves IPv4 too; a host is told and recorded as it is allowed and counted."""
    networks, hosts = "::1/128,127.0.0.0/8", ["127.0.0.1", "::1"]
    chosen = {"dicom_processes": processes, "dicom_allowed_networks": networks}
    with running_receiver(tmp_path, dicom_host="::", **chosen) as receiver:
        entity, image = AE("MODALITY"), mammogram()
        entity.add_requested_context(image.SOPClassUID, ExplicitVRLittleEndian)
        for host in hosts:
            association = entity.associate(host, receiver.port)
            assert association.send_c_store(mammogram()).Status == 0x0000
            association.release()
        receiver.wait_for_log("association released")
    told = {line["peer_host"] for line in receiver.log_lines() if "stored_by_status" in line}
    store = open_store(load_settings(state_dir=receiver.state_dir))
    with store.reading() as session:
        recorded = set(session.scalars(select(Instance.peer_host)))
    store.close()
    assert sorted(told) == sorted(recorded) == hosts


def test_networks() -> None:
    """IPv4 peers are the same written as IPv6; a wrong network is a wrong setting."""
    assert host_allowed("::ffff:10.20.3.4", ("10.20.0.0/16",))
    assert not host_allowed("::ffff:10.21.3.4", ("10.20.0.0/16",))
    assert host_allowed("10.20.3.4", ("::ffff:10.20.0.0/112",))
    assert not host_allowed("10.21.3.4", ("::ffff:10.20.0.0/112",))
    assert host_allowed("fe80::1%eth0", ("fe80::/10",))
    assert not host_allowed("10.20.3.4", ("fd00::/8",))
    assert host_allowed("192.0.2.1", ())
    with pytest.raises(ConfigurationError, match="SENTINODE_DICOM_ALLOWED_NETWORKS"):
        load_settings(dicom_allowed_networks="10.20.0.0/33")


def test_no_association_lives_too_long(tmp_path: Path) -> None:
    """One that is busy all the time is aborted when its time is up, and the log says so."""
    with running_receiver(tmp_path, dicom_association_timeout_seconds=2) as receiver:
        with RawPeer(receiver.port) as peer:
            peer.associate(VERIFICATION)
            kind = P_DATA
            while kind == P_DATA:
                peer.send(pdu(P_DATA, pdv(1, 3, command(C_ECHO_RQ, VERIFICATION))))
                kind, _ = peer.receive()
            assert kind == ABORT
            assert 2 <= time.monotonic() - peer.opened < 6
        assert receiver.wait_for_log("lived too long")["peer_host"] == "127.0.0.3"


def test_two_receivers_do_not_share_a_port_by_mistake(tmp_path: Path) -> None:
    """The second one that is given the port of the first does not start."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with running_receiver(tmp_path / "first") as receiver:
        taken = {"dicom_port": receiver.port}
        with (
            pytest.raises(Exception, match="cannot listen on"),
            running_receiver(tmp_path / "second", **taken),
        ):
            pass


def test_orderly_end_with_associations_open(tmp_path: Path) -> None:
    """SIGTERM: no new connection, open associations get some seconds, nothing half is left."""
    with running_receiver(tmp_path) as receiver:
        association = associate(receiver.port, MAMMOGRAPHY)
        with busy_sender(receiver.port):
            os.kill(receiver.process.pid, signal.SIGTERM)
            begun = time.monotonic()
            wait_until(lambda: refuses(receiver), 3, "no new connection")
            assert association.send_c_store(mammogram()).Status == 0x0000
            receiver.process.wait(20)
        assert time.monotonic() - begun < 10
        assert receiver.spool_files() == set()
        association.abort()


def refuses(receiver: RunningReceiver) -> bool:
    """Whether nobody listens any more."""
    return not listens(receiver.port)
