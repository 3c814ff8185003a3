"""How many connections one host and all hosts may have, and who is told of those that are refused.

In: hosts of connections that were just accepted. Out: whether each gets a thread. What must hold:
one host alone can neither take all places nor fill a log.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

# Connections without an association yet, above the number of associations, before new ones are
# closed at once: they cost a thread each until their deadline.
_HALF_OPEN = 32
# The same about the same host is told at most this often.
_NOTICE_SECONDS = 10.0


class Admission:
    """Counts connections, in all and by host."""

    def __init__(
        self, per_host: int, total: int, tell: Callable[[int], None] = lambda _connections: None
    ) -> None:
        """`tell` hears how many there are, whenever that changes."""
        self._per_host = per_host + _HALF_OPEN
        self._total = total + 4 * _HALF_OPEN
        self._tell = tell
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, host: str) -> bool:
        """Whether one more connection of this host is taken; if so, `leave` must follow."""
        with self._lock:
            if self._open[host] >= self._per_host or self._open.total() >= self._total:
                return False
            self._open[host] += 1
            self._tell(self._open.total())
            return True

    def leave(self, host: str) -> None:
        """One connection of this host has ended."""
        with self._lock:
            self._open[host] -= 1
            if not self._open[host]:
                del self._open[host]
            self._tell(self._open.total())


class Notices:
    """Tells refusals; what comes fast is told once, the next time with how often it was."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        # When each was told, and how often it happened since.
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def tell(self, host: str, reason: str) -> None:
        """One refusal."""
        now, key = time.monotonic(), (host, reason)
        with self._lock:
            at, since = self._told.get(key, (now - _NOTICE_SECONDS, 0))
            if now - at < _NOTICE_SECONDS:
                self._told[key] = (at, since + 1)
                return
            self._told = {
                each: (at, since)
                for each, (at, since) in self._told.items()
                if now - at < 2 * _NOTICE_SECONDS
            }
            self._told[key] = (now, 0)
        self._tell(host, f"{reason} ({since} times more before)" if since else reason)
