"""Sending objects of any size: a bounded queue between the sender and the socket, and a PDU cap.

pynetdicom reads a file in fragments when STORE_SEND_CHUNKED_DATASET is on, but puts all of them at
once into a queue without a bound, and makes one fragment of everything for a peer that names no
largest PDU. Either way the whole object would lie in memory. The same queue keeps the responses of
a long C-FIND from piling up behind a slow reader.
"""

from __future__ import annotations

import queue
from typing import Any

from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

# P-DATA that wait for the socket, on top of what the kernel buffers.
_DEPTH = 4
LARGEST_PDU_BYTES = 1 << 18
# How often a sender that waits looks whether anybody will ever take its data.
_LOOK_SECONDS = 0.5


class SendQueue(queue.Queue[Any]):
    """Primitives for the DUL: P-DATA waits for room, everything else (A-ABORT) never does."""

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put, once there is room. Raises ConnectionAbortedError when there never will be."""
        if isinstance(item, P_DATA):
            self._wait_for_room()
        super().put(item, block, timeout)

    def _wait_for_room(self) -> None:
        with self.not_full:
            while self._qsize() >= _DEPTH:
                if not self._association.dul.is_alive():
                    raise ConnectionAbortedError("the association ended while data was sent")
                self.not_full.wait(_LOOK_SECONDS)


class CappedProvider(DIMSEServiceProvider):
    """Fragments messages into PDUs of a bounded length, whatever the peer would take."""

    @property
    def maximum_pdu_size(self) -> int:
        """Largest PDU to send; 0 from a peer means any length (PS3.8 D.1)."""
        return min(super().maximum_pdu_size or LARGEST_PDU_BYTES, LARGEST_PDU_BYTES)


def bound_sending(association: Association) -> None:
    """Make an association send with bounded memory; before it has messages in either direction."""
    _config.STORE_SEND_CHUNKED_DATASET = True
    association.dul.to_provider_queue = SendQueue(association)
    association.dimse = CappedProvider(association)
