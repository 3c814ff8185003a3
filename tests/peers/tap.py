"""A wire tap: forwards TCP to the node and keeps what the sender said, so that tests can compare.

What a sender puts on the wire is seldom what its file holds: DCMTK encodes anew, Orthanc may
transcode. Only the wire tells what the node was given.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_C_STORE_RQ = 0x0001
_COMMAND, _LAST = 0x01, 0x02


@dataclass
class Tap:
    """What came over all connections, by connection."""

    port: int
    streams: list[bytearray] = field(default_factory=list)

    def data_sets(self) -> dict[str, bytes]:
        """The data set of every C-STORE-RQ by its Affected SOP Instance UID."""
        found: dict[str, bytes] = {}
        for stream in self.streams:
            found |= _stored(bytes(stream))
        return found


@contextmanager
def tapped(node_port: int) -> Iterator[Tap]:
    """Listen on a port of its own inside the block and forward to the node."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tap = Tap(listener.getsockname()[1])
        threads: list[threading.Thread] = []
        accepting = threading.Thread(target=_accept, args=(listener, node_port, tap, threads))
        accepting.start()
        try:
            yield tap
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(10)


def _accept(
    listener: socket.socket, node_port: int, tap: Tap, threads: list[threading.Thread]
) -> None:
    with suppress(OSError):
        while True:
            sender, _ = listener.accept()
            tap.streams.append(bytearray())
            arguments = (sender, node_port, tap.streams[-1])
            threads.append(threading.Thread(target=_forward, args=arguments))
            threads[-1].start()


def _forward(sender: socket.socket, node_port: int, kept: bytearray) -> None:
    """Forward both ways until either side closes."""
    with sender, socket.create_connection(("127.0.0.1", node_port)) as node, suppress(OSError):
        sides = {sender.fileno(): (sender, node, kept), node.fileno(): (node, sender, bytearray())}
        poll = select.poll()
        for descriptor in sides:
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                source, target, record = sides[descriptor]
                chunk = source.recv(1 << 16)
                if not chunk:
                    return
                record += chunk
                target.sendall(chunk)


def _stored(stream: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    command, content, uid = bytearray(), bytearray(), ""
    for control, fragment in _values(stream):
        if control & _COMMAND:
            command += fragment
            if control & _LAST:
                elements, command = _elements(bytes(command)), bytearray()
                stores = elements[0x0100] == struct.pack("<H", _C_STORE_RQ)
                uid = elements[0x1000].rstrip(b"\0").decode() if stores else ""
            continue
        content += fragment
        if control & _LAST:
            if uid:
                found[uid] = bytes(content)
            content = bytearray()
    return found


def _values(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Message control header and fragment of every presentation data value, in order."""
    position = 0
    while position + 6 <= len(stream):
        kind, _, length = struct.unpack_from(">BBI", stream, position)
        position += 6
        end = position + length
        while kind == 0x04 and position < end:
            size, _, control = struct.unpack_from(">IBB", stream, position)
            yield control, stream[position + 6 : position + 4 + size]
            position += 4 + size
        position = end


def _elements(encoded: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    position = 0
    while position < len(encoded):
        _, number, size = struct.unpack_from("<HHI", encoded, position)
        found[number] = encoded[position + 8 : position + 8 + size]
        position += 8 + size
    return found
