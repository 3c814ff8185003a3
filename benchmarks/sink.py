"""A receiver that keeps nothing: what sender and loopback could do at most.

    python -m benchmarks.sink PORT

It takes what `sender` sends, one presentation data value per PDU, and answers each object 0x0000.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from benchmarks.wire import (
    COMMAND,
    LAST,
    LONGEST_PDU_BYTES,
    MESSAGE_ID,
    P_DATA,
    PDU_HEADER,
    PDV_HEADER,
    RELEASE_RESPONSE,
    RELEASE_RQ,
    RESPONDED_TO,
    STATUS,
    element,
    p_data,
    value_at,
)

_HEADERS_BYTES = PDU_HEADER.size + PDV_HEADER.size
_BUFFER_BYTES = 1 << 20
_C_STORE_RSP, _NO_DATA_SET = 0x8001, 0x0101


class Draining:
    """One association: skips data, answers objects."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unread = bytearray()
        self._skip = 0  # bytes of the data fragment under way
        self._last = False  # whether it is the data set's last
        self._message_id = 0
        self._buffer = bytearray(_BUFFER_BYTES)

    def pull(self) -> bool:
        """Take what came; False at the end of the connection."""
        count = self._connection.recv_into(self._buffer)
        at = min(self._skip, count)
        self._skip -= at
        self._unread += memoryview(self._buffer)[at:count]
        self._answer_if_complete()
        while self._take_pdu():
            pass
        return count > 0

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _take_pdu(self) -> bool:
        if len(self._unread) < PDU_HEADER.size:
            return False
        pdu_type, length = PDU_HEADER.unpack_from(self._unread)
        if pdu_type != P_DATA:
            return self._take_other(pdu_type, PDU_HEADER.size + length)
        if len(self._unread) < _HEADERS_BYTES:
            return False
        _, _, control = PDV_HEADER.unpack_from(self._unread, PDU_HEADER.size)
        end = PDU_HEADER.size + length
        if control & COMMAND:
            return self._take_command(end)
        self._skip, self._last = max(end - len(self._unread), 0), bool(control & LAST)
        del self._unread[:end]
        self._answer_if_complete()
        return True

    def _take_command(self, end: int) -> bool:
        if len(self._unread) < end:
            return False
        command = bytes(self._unread[_HEADERS_BYTES:end])
        (self._message_id,) = struct.unpack_from("<H", command, value_at(command, MESSAGE_ID))
        del self._unread[:end]
        return True

    def _take_other(self, pdu_type: int, end: int) -> bool:
        if len(self._unread) < end:
            return False
        content = bytes(self._unread[:end])
        del self._unread[:end]
        answer = RELEASE_RESPONSE if pdu_type == RELEASE_RQ else _accepted(content)
        self._connection.sendall(answer)
        return True

    def _answer_if_complete(self) -> None:
        if self._last and not self._skip:
            self._last = False
            self._connection.sendall(stored(self._message_id))


def _accepted(request: bytes) -> bytes:
    """A-ASSOCIATE-AC with everything accepted."""
    asked = A_ASSOCIATE_RQ()
    asked.decode(request)
    primitive: Any = asked.to_primitive()
    for context in primitive.presentation_context_definition_list:
        context.result = 0
    primitive.presentation_context_definition_results_list = (
        primitive.presentation_context_definition_list
    )
    primitive.user_information[0].maximum_length_received = LONGEST_PDU_BYTES
    primitive.result = 0
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def stored(message_id: int) -> bytes:
    """C-STORE-RSP with status 0x0000."""
    elements = (
        element(0x0100, struct.pack("<H", _C_STORE_RSP))
        + element(RESPONDED_TO, struct.pack("<H", message_id))
        + element(0x0800, struct.pack("<H", _NO_DATA_SET))
        + element(STATUS, struct.pack("<H", 0x0000))
    )
    return p_data(COMMAND | LAST, element(0x0000, struct.pack("<L", len(elements))) + elements)


def serve(port: int) -> None:
    """Serve until the process is ended."""
    with socket.create_server(("127.0.0.1", port)) as server, selectors.DefaultSelector() as ready:
        ready.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is server:
                    connection, _ = server.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    ready.register(connection, selectors.EVENT_READ, Draining(connection))
                elif not key.data.pull():
                    ready.unregister(key.fileobj)
                    key.data.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
