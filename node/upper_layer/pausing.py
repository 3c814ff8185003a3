"""Pausing the loop of an association that calls: its answers are for whoever waits for them.

pynetdicom 3.0.4 pauses an association's loop while one of its `send_*` waits for an answer. The
loop says that it stands still, looks whether it may go on, and only then says that it runs. A call
that comes in between believes that it stands still; the loop then takes the answer for a request
and throws it away, and the call waits for its whole timeout and ends with an abort. On a busy
machine that was one C-ECHO in a thousand.
"""

from __future__ import annotations

import threading

from pynetdicom.association import Association


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


def pause_soundly(association: Association) -> None:
    """Have an association that calls lose no answer; before it is established."""
    association._reactor_checkpoint = Checkpoint(association)
