"""Sending with bounded memory: what waits for room, what never does, and how long a PDU may be."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from pynetdicom import AE
from pynetdicom._globals import MODE_REQUESTOR
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import A_ABORT, P_DATA

from node.upper_layer.sending import LARGEST_PDU_BYTES, CappedProvider, SendQueue, bound_sending


def queue_of(alive: bool) -> SendQueue:
    """The queue of an association whose DUL runs, or has ended."""
    association: Any = SimpleNamespace(dul=SimpleNamespace(is_alive=lambda: alive))
    return SendQueue(association)


def filled(queue: SendQueue) -> int:
    """Put until the next P-DATA would have to wait; returns how many were taken."""
    taken: list[P_DATA] = []

    def put() -> None:
        with suppress(ConnectionAbortedError):
            while True:
                item = P_DATA()
                queue.put(item)
                taken.append(item)

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    return len(taken)


def test_data_waits_for_room_and_gives_up() -> None:
    """A few PDUs are queued; when nobody sends any more, the sender is told instead of blocked."""
    assert 0 < filled(queue_of(alive=False)) < 10


def test_an_abort_never_waits() -> None:
    """A-ABORT goes into a full queue at once."""
    queue = queue_of(alive=False)
    full = filled(queue)
    queue.put(A_ABORT())
    assert queue.qsize() == full + 1


def test_room_wakes_the_sender() -> None:
    """What is taken from the queue makes room for the next fragment."""
    queue = queue_of(alive=True)
    thread = threading.Thread(target=lambda: [queue.put(P_DATA()) for _ in range(50)], daemon=True)
    thread.start()
    assert all(isinstance(queue.get(timeout=10), P_DATA) for _ in range(50))
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("asked", "used"), [(0, LARGEST_PDU_BYTES), (16382, 16382), (2**31, LARGEST_PDU_BYTES)]
)
def test_pdus_are_capped(monkeypatch: pytest.MonkeyPatch, asked: int, used: int) -> None:
    """A peer without a limit, or with a huge one, is sent PDUs of our own length."""
    monkeypatch.setattr(DIMSEServiceProvider, "maximum_pdu_size", property(lambda _: asked))
    association = Association(AE(), MODE_REQUESTOR)
    assert CappedProvider(association).maximum_pdu_size == used


def test_what_is_replaced_is_what_pynetdicom_uses() -> None:
    """The attributes that are replaced exist, so that a renamed one would be noticed."""
    association = Association(AE(), MODE_REQUESTOR)
    assert type(association.dimse) is DIMSEServiceProvider
    assert association.dul.to_provider_queue.qsize() == 0
    bound_sending(association)
    association.dul.send_pdu(P_DATA())
    assert isinstance(association.dul.to_provider_queue, SendQueue)
    assert association.dul.to_provider_queue.qsize() == 1
