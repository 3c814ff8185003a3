"""One listening socket for several processes: bound once, and whoever serves fewest accepts.

The kernel's own way (SO_REUSEPORT) deals connections out by a hash: of four associations all go to
one process of two as often as once in eight times. And two receivers that were given one port by
mistake would share it without a word.
"""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# So long a process that serves more than another leaves a connection to that one, which may be
# busy or dead: then it takes it itself.
_COURTESY_SECONDS = 0.002


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


def bind_shared(addresses: Sequence[tuple[str, int]], processes: int) -> dict[int, SharedPort]:
    """Bind and listen, by port. Raises OSError."""
    # Of this context a process that is started anew can have it too.
    context = multiprocessing.get_context("spawn")
    return {
        address[1]: SharedPort(_bind(address), context.RawArray("I", processes))
        for address in addresses
    }


def _bind(address: tuple[str, int]) -> socket.socket:
    six = ":" in address[0]
    return socket.create_server(
        address,
        family=socket.AF_INET6 if six else socket.AF_INET,
        backlog=socket.SOMAXCONN,
        dualstack_ipv6=six and socket.has_dualstack_ipv6(),
    )
