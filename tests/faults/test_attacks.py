"""Hostile and broken peers against a running receiver, while an honest host goes on sending.

Of every attack three things are asked: the honest sender keeps at least half of what it had just
before, the attacker is cut off within its deadline, and afterwards the process holds no descriptor,
thread or file more than before.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from pydicom.uid import generate_uid

from tests.datasets import mammogram
from tests.peers.busy import BusySender, busy_sender
from tests.peers.certificates import Authority
from tests.peers.ports import free_port
from tests.peers.raw import (
    ASSOCIATE_RQ,
    C_ECHO_RQ,
    C_FIND_RQ,
    C_STORE_RQ,
    MAMMOGRAPHY,
    P_DATA,
    STUDY_ROOT_FIND,
    VERIFICATION,
    RawPeer,
    command,
    pdu,
    pdv,
)
from tests.peers.receiver import RunningReceiver, running_receiver, wait_until
from tests.peers.wire import encoded

REQUEST_SECONDS, PDU_SECONDS, NETWORK_SECONDS, PER_HOST = 2.0, 2.0, 3.0, 40
# Timers are looked at once a second, and the machine may be busy.
SLACK_SECONDS = 3.0
# A machine that is busy with something else for a moment must not fail a test.
TRIES = 3
# Largest growth of the process by one attack: 72 connections, each with two threads.
GROWTH_BYTES = 48 << 20


@dataclass(frozen=True)
class Scene:
    """A receiver, an honest sender at work, and what the receiver needs for that sender alone."""

    receiver: RunningReceiver
    honest: BusySender


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One receiver with short deadlines for all attacks, with and without TLS."""
    folder = tmp_path_factory.mktemp("attacks")
    server = Authority(folder, "authority").certificate("server")
    settings = {
        "dicom_request_timeout_seconds": REQUEST_SECONDS,
        "dicom_pdu_timeout_seconds": PDU_SECONDS,
        "dicom_network_timeout_seconds": NETWORK_SECONDS,
        "dicom_max_associations_per_host": PER_HOST,
        "dicom_tls_port": free_port(),
        "dicom_tls_certificate": server.chain,
        "dicom_tls_key": server.key,
    }
    with (
        running_receiver(folder, **settings) as receiver,
        busy_sender(receiver.port) as honest,
    ):
        honest.wait_for(20)
        yield Scene(receiver, honest)
        make_room(receiver)


Attack = Callable[[Scene, ExitStack], list[RawPeer]]


def silent(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """Ten peers that connect and say nothing."""
    return [held.enter_context(RawPeer(scene.receiver.port)) for _ in range(10)]


def six_bytes(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """Ten peers that send the header of a request and stop."""
    peers = silent(scene, held)
    for peer in peers:
        peer.send(struct.pack(">BBI", ASSOCIATE_RQ, 0, 200))
    return peers


def huge_request(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """An association request of two gigabytes."""
    peer = held.enter_context(RawPeer(scene.receiver.port))
    in_background(held, peer, [pdu(ASSOCIATE_RQ, b"\1" * 65536, 2 << 30), *[b"\1" * 65536] * 2000])
    return [peer]


def dribbled_request(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """A request that comes a byte at a time."""
    peer = held.enter_context(RawPeer(scene.receiver.port))
    in_background(held, peer, [pdu(ASSOCIATE_RQ, b"", 200), *[b"\0"] * 200], pause_seconds=0.1)
    return [peer]


def data_before_association(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """P-DATA where an association request belongs, again and again."""
    peer = held.enter_context(RawPeer(scene.receiver.port))
    echo = pdu(P_DATA, pdv(1, 3, command(C_ECHO_RQ, VERIFICATION)))
    in_background(held, peer, [echo] * 200, pause_seconds=0.05)
    return [peer]


def endless_pdu(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """A P-DATA PDU that claims 4 GiB and comes a few bytes at a time."""
    peer = established(scene, held, MAMMOGRAPHY)
    begin_object(peer)
    begin = pdu(P_DATA, struct.pack(">IBB", 0xFFFFFFF0, 1, 0), 0xFFFFFFF4)
    in_background(held, peer, [begin, *[b"\0" * 10] * 200], pause_seconds=0.05)
    return [peer]


def dribbled_pdu(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """A P-DATA PDU of an allowed length that comes a few bytes at a time."""
    peer = established(scene, held, MAMMOGRAPHY)
    begin_object(peer)
    begin = pdu(P_DATA, struct.pack(">IBB", 60002, 1, 0), 60006)
    in_background(held, peer, [begin, *[b"\0" * 10] * 200], pause_seconds=0.05)
    return [peer]


def half_then_silence(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """Half a data set, at the end of a PDU, then nothing."""
    peer = established(scene, held, MAMMOGRAPHY)
    begin_object(peer)
    peer.send(pdu(P_DATA, pdv(1, 0, half_an_image())))
    return [peer]


def half_then_reset(scene: Scene, _held: ExitStack) -> list[RawPeer]:
    """Twenty times half a data set, then a RST; nobody is left to be dropped."""
    for _ in range(20):
        peer = RawPeer(scene.receiver.port)
        peer.associate(MAMMOGRAPHY)
        begin_object(peer)
        peer.send(pdu(P_DATA, pdv(1, 0, half_an_image())))
        peer.reset()
    return []


def crawling_object(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """A data set of many small complete PDUs, a few bytes a second."""
    peer = established(scene, held, MAMMOGRAPHY)
    begin_object(peer)
    in_background(held, peer, [pdu(P_DATA, pdv(1, 0, b"\0" * 8))] * 200, pause_seconds=0.1)
    return [peer]


def empty_fragments(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """Fragments without bytes, as fast as they are taken."""
    peer = established(scene, held, MAMMOGRAPHY)
    begin_object(peer)
    in_background(held, peer, [pdu(P_DATA, pdv(1, 0, b"")) * 100] * 100000)
    return [peer]


def endless_command(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """Command fragments without a last one."""
    peer = established(scene, held, MAMMOGRAPHY)
    in_background(held, peer, [pdu(P_DATA, pdv(1, 1, b"\0" * 1000))] * 2000)
    return [peer]


def endless_identifier(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """A C-STUDY_ROOT_FIND whose identifier has no end."""
    peer = established(scene, held, STUDY_ROOT_FIND)
    peer.send(pdu(P_DATA, pdv(1, 3, command(C_FIND_RQ, STUDY_ROOT_FIND))))
    in_background(held, peer, [pdu(P_DATA, pdv(1, 0, b"\0" * 60000))] * 2000)
    return [peer]


def foreign_context(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """A C-STORE on a presentation context that was not accepted."""
    peer = established(scene, held, MAMMOGRAPHY)
    peer.send(pdu(P_DATA, pdv(99, 3, command(C_STORE_RQ, MAMMOGRAPHY, 1, generate_uid()))))
    return [peer]


def garbage(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """Bytes that are no PDU, after a good association, without end."""
    peer = established(scene, held, MAMMOGRAPHY)
    in_background(held, peer, [b"\xff\xfe\xfd" * 20000] * 2000)
    return [peer]


def slow_reader(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """A peer that asks and asks and never reads an answer."""
    peer = held.enter_context(RawPeer(scene.receiver.port, receive_buffer_bytes=2048))
    peer.associate(VERIFICATION)
    echo = pdu(P_DATA, pdv(1, 3, command(C_ECHO_RQ, VERIFICATION)))
    in_background(held, peer, [echo * 10] * 100000)
    return [peer]


def never_reads_stored(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """A storage sender that never reads: its answers fill what the kernel holds."""
    peer = held.enter_context(RawPeer(scene.receiver.port, receive_buffer_bytes=2048))
    peer.associate(MAMMOGRAPHY)
    # A refusal repeats the UID of the request, however long.
    refused = command(C_STORE_RQ, MAMMOGRAPHY, 1, "1." * 15000)
    message = pdu(P_DATA, pdv(1, 3, refused) + pdv(1, 2, b""))
    in_background(held, peer, [message] * 2000, pause_seconds=0.005)
    return [peer]


def tls_silent(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """Ten peers of the TLS port without a ClientHello."""
    return [held.enter_context(RawPeer(scene.receiver.tls_port)) for _ in range(10)]


def tls_dribbled_hello(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """A ClientHello that comes a byte at a time."""
    peer = held.enter_context(RawPeer(scene.receiver.tls_port))
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)
    in_background(held, peer, [hello[at : at + 1] for at in range(len(hello))], pause_seconds=0.1)
    return [peer]


def thousand_connections(scene: Scene, held: ExitStack) -> list[RawPeer]:
    """A thousand silent connections of one host."""
    return [held.enter_context(RawPeer(scene.receiver.port)) for _ in range(1000)]


# Each with the seconds after which its peer must be gone.
ATTACKS: list[tuple[Attack, float]] = [
    (silent, REQUEST_SECONDS),
    (six_bytes, REQUEST_SECONDS),
    (huge_request, REQUEST_SECONDS),
    (dribbled_request, REQUEST_SECONDS),
    (data_before_association, REQUEST_SECONDS),
    (endless_pdu, PDU_SECONDS),
    (dribbled_pdu, PDU_SECONDS),
    (half_then_silence, NETWORK_SECONDS),
    (half_then_reset, 0.0),
    (crawling_object, 2 * PDU_SECONDS),
    (empty_fragments, PDU_SECONDS),
    (endless_command, PDU_SECONDS),
    (endless_identifier, PDU_SECONDS),
    (foreign_context, PDU_SECONDS),
    (garbage, PDU_SECONDS),
    (slow_reader, 2 * PDU_SECONDS),
    (never_reads_stored, 2 * PDU_SECONDS),
    (tls_silent, REQUEST_SECONDS),
    (tls_dribbled_hello, REQUEST_SECONDS),
    (thousand_connections, REQUEST_SECONDS),
]


NEVER_READ = (slow_reader, never_reads_stored)
# One of each kind; `make test-slow` tries all.
_FEW = {
    silent,
    six_bytes,
    huge_request,
    endless_pdu,
    half_then_silence,
    slow_reader,
    tls_silent,
    thousand_connections,
}
_SLOW = "SENTINODE_FAULT_SECONDS" in os.environ
CHOSEN = [each for each in ATTACKS if _SLOW or each[0] in _FEW]


@pytest.mark.parametrize(
    ("attack", "deadline_seconds"), CHOSEN, ids=lambda each: getattr(each, "__name__", "")
)
def test_attacker_is_dropped_and_others_hardly_notice(
    scene: Scene, attack: Attack, deadline_seconds: float
) -> None:
    """Half the throughput stays, the deadline holds, nothing is left behind."""
    receiver, honest = scene.receiver, scene.honest
    make_room(receiver)
    before, peak_before = receiver.holdings(), receiver.peak_bytes()
    for _ in range(TRIES):
        make_room(receiver)
        undisturbed = honest.objects_per_second()
        with ExitStack() as held:
            peers = attack(scene, held)
            during = honest.objects_per_second()
            wait = "cut_after" if attack in NEVER_READ else "closed_after"
            limit_seconds = deadline_seconds + SLACK_SECONDS
            seconds = max((getattr(peer, wait)(limit_seconds) for peer in peers), default=0.0)
        wait_until(lambda: receiver.holdings() == before, 10, "connections and threads as before")
        left = receiver.spool_files()
        wait_until(lambda left=left: not left & receiver.spool_files(), 10, "no file of it")
        afterwards = honest.objects_per_second()
        print(
            f"{attack.__name__}: {undisturbed:.0f} -> {during:.0f} -> {afterwards:.0f} objects/s, "
            f"gone after {seconds:.1f} s, peak +{(receiver.peak_bytes() - peak_before) >> 10} KB"
        )
        if during >= min(undisturbed, afterwards) / 2:
            break
    assert during >= min(undisturbed, afterwards) / 2
    assert seconds <= deadline_seconds + SLACK_SECONDS
    assert receiver.peak_bytes() - peak_before < GROWTH_BYTES


def test_forty_busy_associations_leave_another_host_its_part(scene: Scene) -> None:
    """One association of one host keeps a fourth at least of what it had alone.

    A twentieth was measured without turns between hosts, 0.4 with them on a machine that has
    nothing else to do; here the forty senders take their part of the same two cores.
    """
    receiver, honest = scene.receiver, scene.honest
    for _ in range(TRIES):
        make_room(receiver)
        alone = honest.objects_per_second()
        with busy_sender(receiver.port, "127.0.0.3", PER_HOST) as crowd:
            beside, others = honest.objects_per_second(), crowd.objects_per_second()
        again = honest.objects_per_second()
        print(f"{alone:.0f} -> {beside:.0f} (others {others:.0f}) -> {again:.0f} objects/s")
        if beside >= min(alone, again) / 4:
            break
    assert beside >= min(alone, again) / 4


def make_room(receiver: RunningReceiver) -> None:
    """Remove what the honest sender stored: some hundred megabytes with each attack."""
    for path in (receiver.state_dir / "instances").rglob("*.dcm"):
        path.unlink()


def established(scene: Scene, held: ExitStack, *classes: str) -> RawPeer:
    """A peer with an association."""
    peer = held.enter_context(RawPeer(scene.receiver.port))
    peer.associate(*classes)
    return peer


def begin_object(peer: RawPeer) -> None:
    """The command of a C-STORE whose data set is to follow."""
    peer.send(pdu(P_DATA, pdv(1, 3, command(C_STORE_RQ, MAMMOGRAPHY, 1, generate_uid()))))


def half_an_image() -> bytes:
    content = encoded(mammogram(size_px=(512, 400)))
    return content[: len(content) // 2]


def in_background(
    held: ExitStack, peer: RawPeer, pieces: list[bytes], pause_seconds: float = 0.0
) -> None:
    """Send these pieces from a thread of its own, until the node closes."""

    def send() -> None:
        with contextlib.suppress(OSError):
            for piece in pieces:
                peer.socket.sendall(piece)
                if pause_seconds:
                    time.sleep(pause_seconds)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    held.callback(thread.join, 10)
