"""What several processes of a receiver share: their listening sockets, whom they serve, and whether
hosts compete.

A socket is bound once, and whoever serves fewest connections accepts.

The kernel's own way (SO_REUSEPORT) deals connections out by a hash: of four associations all go to
one process of two as often as once in eight times. And two receivers that were given one port by
mistake would share it without a word.
"""

from __future__ import annotations

import errno
import multiprocessing
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

# So long a process that serves more than another leaves a connection to that one, which may be
# busy or dead: then it takes it itself.
_COURTESY_SECONDS = 0.002
_PLACES = 4096
# The first process was killed and is started again: so long the others may still have its port.
_LEFT_SECONDS, _AGAIN_SECONDS = 3.0, 0.1


@dataclass(frozen=True, slots=True)
class SharedPort:
    """A bound socket and, for each process, how many connections it serves."""

    listening: socket.socket
    counts: Any
    # Of this process.
    number: int = 0

    def bind_listener(self) -> socket.socket:
        """The socket for a listener of this process, which may close it. Raises OSError."""
        mine = self.listening.dup()
        # All processes wake for a connection, one gets it: the others must not wait for the next.
        mine.setblocking(False)
        return mine

    def tell(self, connections: int) -> None:
        """Say how many connections this process serves now."""
        self.counts[self.number] = connections

    def give_way(self) -> None:
        """Leave a connection that waits to a process that serves fewer, if there is one."""
        if self.counts[self.number] > min(self.counts):
            time.sleep(_COURTESY_SECONDS)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the processes of one receiver share, as one of them has it."""

    ports: Mapping[int, SharedPort]
    # How many associations of each place of hosts each process serves.
    places: Any
    # Until when hosts compete in any of them (`node.upper_layer.fairness`).
    competing_until: Any
    number: int = 0

    def of(self, number: int) -> Shared:
        """The same for a process that begins under this number and serves nobody yet."""
        first = number * _PLACES
        self.places[first : first + _PLACES] = [0] * _PLACES
        ports = {port: replace(each, number=number) for port, each in self.ports.items()}
        for each in ports.values():
            each.tell(0)
        return replace(self, ports=ports, number=number)

    def close(self) -> None:
        """Listen no more, as far as this process is concerned."""
        for port in self.ports.values():
            port.listening.close()


class Tally:
    """Counts the associations of all processes, in all and by host.

    By the place of a host in a table, in truth: hosts that fall on one place are counted as one.
    """

    def __init__(self, shared: Shared | None = None) -> None:
        self._places: Any = [0] * _PLACES if shared is None else shared.places
        self._first = 0 if shared is None else shared.number * _PLACES
        self._lock = threading.Lock()

    def enter(self, host: str) -> tuple[int, int]:
        """Count one more; returns how many that makes of this host, and of all."""
        place = _place(host)
        with self._lock:
            # Counted before it is looked: of two processes at the same time both may say no, and
            # never both yes to the last place.
            self._places[self._first + place] += 1
        counts = self._places[:]
        return sum(counts[place::_PLACES]), sum(counts)

    def leave(self, host: str) -> None:
        """One association of this host has ended, or is refused."""
        with self._lock:
            self._places[self._first + _place(host)] -= 1


def share(addresses: Sequence[tuple[str, int]], processes: int) -> Shared:
    """Bind and listen for several processes. Raises OSError."""
    # Of this context a process that is started anew can have it too.
    context = multiprocessing.get_context("spawn")
    ports = {
        address[1]: SharedPort(_bind(address), context.RawArray("I", processes))
        for address in addresses
    }
    return Shared(ports, context.RawArray("I", processes * _PLACES), context.RawValue("d", 0.0))


def _place(host: str) -> int:
    return crc32(host.encode()) % _PLACES


def _bind(address: tuple[str, int]) -> socket.socket:
    six = ":" in address[0]
    deadline = time.monotonic() + _LEFT_SECONDS
    while True:
        try:
            return socket.create_server(
                address,
                family=socket.AF_INET6 if six else socket.AF_INET,
                backlog=socket.SOMAXCONN,
                dualstack_ipv6=six and socket.has_dualstack_ipv6(),
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_SECONDS)
