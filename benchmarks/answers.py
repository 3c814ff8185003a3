"""What a receiver answers: the association, and the status of each C-STORE.

In: bytes as they come from the socket. Out: C-STORE responses and the release, in order.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_AC

from benchmarks.wire import (
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    COMMAND,
    LAST,
    P_DATA,
    PDU_HEADER,
    PDV_HEADER,
    RELEASE_RP,
    RESPONDED_TO,
    STATUS,
    value_at,
)


class RejectedError(Exception):
    """The receiver takes no further association."""


class ProtocolError(Exception):
    """The receiver answered what no receiver should."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A C-STORE-RSP."""

    message_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Released:
    """An A-RELEASE-RP."""


def read_association(connection: socket.socket) -> int:
    """Read the answer to the association request; returns the receiver's maximum PDU length.

    Raises RejectedError and ProtocolError.
    """
    header = _exactly(connection, PDU_HEADER.size)
    pdu_type, length = PDU_HEADER.unpack(header)
    content = _exactly(connection, length)
    if pdu_type == ASSOCIATE_RJ:
        result, source, reason = content[1:4]
        raise RejectedError(f"association rejected: result {result}, source {source}, {reason}")
    if pdu_type != ASSOCIATE_AC:
        raise ProtocolError(f"PDU type {pdu_type} instead of A-ASSOCIATE-AC")
    return _max_pdu_bytes(header + content)


def _max_pdu_bytes(accepted: bytes) -> int:
    pdu = A_ASSOCIATE_AC()
    pdu.decode(accepted)
    (context,) = pdu.presentation_context
    if context.result != 0:
        raise ProtocolError(f"presentation context not accepted: result {context.result}")
    user_information: Any = pdu.user_information
    return int(user_information.maximum_length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        more = connection.recv(length - len(content))
        if not more:
            # What some receivers do instead of A-ASSOCIATE-RJ.
            raise RejectedError("connection closed instead of an association")
        content += more
    return content


class Answers:
    """Cuts the stream of one association into answers."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._command = bytearray()

    def feed(self, received: bytes) -> list[Stored | Released]:
        """The answers that are complete with these bytes. Raises ProtocolError."""
        self._unread += received
        found: list[Stored | Released] = []
        while len(self._unread) >= PDU_HEADER.size:
            pdu_type, length = PDU_HEADER.unpack_from(self._unread)
            end = PDU_HEADER.size + length
            if len(self._unread) < end:
                break
            content = bytes(self._unread[PDU_HEADER.size : end])
            del self._unread[:end]
            if pdu_type == RELEASE_RP:
                found.append(Released())
            elif pdu_type == P_DATA:
                found += self._values(content)
            else:
                raise ProtocolError(f"PDU type {pdu_type} instead of a response")
        return found

    def _values(self, content: bytes) -> list[Stored]:
        found = []
        at = 0
        while at < len(content):
            length, _, control = PDV_HEADER.unpack_from(content, at)
            end = at + 4 + length
            if not control & COMMAND:
                raise ProtocolError("a data set instead of a response")
            self._command += content[at + PDV_HEADER.size : end]
            if control & LAST:
                found.append(_stored(bytes(self._command)))
                self._command.clear()
            at = end
        return found


def _stored(command: bytes) -> Stored:
    try:
        (message_id,) = struct.unpack_from("<H", command, value_at(command, RESPONDED_TO))
        (status,) = struct.unpack_from("<H", command, value_at(command, STATUS))
    except KeyError as error:
        raise ProtocolError(f"a response without element {error.args[0]:04X}") from error
    return Stored(message_id, status)
