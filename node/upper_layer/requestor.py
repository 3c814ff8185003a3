"""What an association that calls must not miss: every answer, and a rejection.

pynetdicom 3.0.4 pauses an association's loop while one of its `send_*` waits for an answer. The
loop says that it stands still, looks whether it may go on, and only then says that it runs. A call
that comes in between believes that it stands still; the loop then takes the answer for a request
and throws it away, and the call waits for its whole timeout and ends with an abort. On a busy
machine that was one C-ECHO in a thousand.

It also takes a peer that closes right after its rejection for one that never was there, when the
close is seen before the caller wakes: of a busy process one rejection in forty.
"""

from __future__ import annotations

import threading

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ


class Checkpoint(threading.Event):
    """The loop's checkpoint: it passes, and says that it runs, before anybody can pause it."""

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association
        self._lock = threading.Lock()
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Hold the loop as long as it is paused."""
        while super().wait(timeout):
            with self._lock:
                if self.is_set():
                    self._association._is_paused = False
                    return True
        return False

    def clear(self) -> None:
        """Pause the loop: afterwards it stands still as soon as it says so."""
        with self._lock:
            super().clear()


def hear_answers(event: evt.Event) -> None:
    """Have an association that calls miss nothing: its handler of EVT_CONN_OPEN.

    Of one that is rejected `is_rejected` is true then, and `acceptor.primitive` tells why, even
    where pynetdicom says that it was aborted.
    """
    event.assoc._reactor_checkpoint = Checkpoint(event.assoc)
    event.assoc.bind(evt.EVT_PDU_RECV, _note_rejection)


def _note_rejection(event: evt.Event) -> None:
    if isinstance(event.pdu, A_ASSOCIATE_RJ):
        event.assoc.acceptor.primitive = event.pdu.to_primitive()
        event.assoc.is_rejected = True
