"""One receive buffer for each association: filled by large reads, emptied by views.

pynetdicom reads 4 kB at a time into growing bytearrays; that alone is a third of the cost of a
mammogram. Here one `recv_into` fills what is free, and readers get views without a copy.
"""

from __future__ import annotations

import mmap
import socket

# Six PDUs of 128 kB: with two a mammogram took a sixth longer, with eight it came no sooner and
# sixteen associations took 4 MB more. Mapped, so idle ones are free.
BUFFER_BYTES = 3 << 18


class ReceiveBuffer:
    """A linear buffer; a view that `take` returned is valid until the next `fill`."""

    __slots__ = ("_bytes", "_end", "_start", "_view")

    def __init__(self, size_bytes: int = BUFFER_BYTES) -> None:
        # Mapped, not allocated: what a silent peer never fills costs no memory.
        self._bytes = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._view = memoryview(self._bytes)
        self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    def fill(self, source: socket.socket) -> int:
        """Read once from the socket; 0 means that the peer has closed. Raises OSError."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._bytes):
            self._to_front()
        count = source.recv_into(self._view[self._end :])
        self._end += count
        return count

    def take(self, count: int) -> memoryview:
        """The next bytes, `count` of them or fewer, consumed."""
        first = self._start
        self._start = min(first + count, self._end)
        return self._view[first : self._start]

    def peek(self, count: int) -> memoryview:
        """The next bytes, `count` of them or fewer, not consumed."""
        return self._view[self._start : min(self._start + count, self._end)]

    def take_alike(self, header: bytes, count: int) -> list[memoryview]:
        """The `count` bytes behind each `header`, as often as both are here whole; consumed."""
        view, begun, size = self._view, len(header), len(header) + count
        taken, start = [], self._start
        while self._end - start >= size and view[start : start + begun] == header:
            taken.append(view[start + begun : start + size])
            start += size
        self._start = start
        return taken

    def _to_front(self) -> None:
        # Only when the end is reached: what is left then is a header or the tail of a command.
        left = bytes(self._view[self._start : self._end])
        self._view[: len(left)] = left
        self._start, self._end = 0, len(left)
