"""A sender that writes PDUs itself: many requests without waiting, any size without memory.

dcm4che's senders negotiate an asynchronous operations window and pipeline their requests; neither
DCMTK nor pynetdicom does. It also says wrong things when asked to, and sends from fragments that
are made while they are sent, so that an object of gigabytes needs no memory here.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from types import TracebackType

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)

VERIFICATION = "1.2.840.10008.1.1"
_LARGEST_PDV_BYTES = 131066
_COMMAND, _LAST = 0x01, 0x02


def association_request(
    contexts: Sequence[tuple[str, Sequence[str]]],
    window: int | None = None,
    calling_ae_title: str = "PIPELINE",
) -> bytes:
    """An A-ASSOCIATE-RQ PDU; contexts get the ids 1, 3, 5..., `window` 0 asks for no limit."""
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = calling_ae_title, "SENTINODE"
    built = [build_context(uid, list(syntaxes)) for uid, syntaxes in contexts]
    for position, context in enumerate(built):
        context.context_id = 2 * position + 1
    request.presentation_context_definition_list = built
    length = MaximumLengthNotification()
    length.maximum_length_received = 16384
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3.4"
    request.user_information = [length, implementation]
    if window is not None:
        item = AsynchronousOperationsWindowNegotiation()
        item.maximum_number_operations_invoked = window
        item.maximum_number_operations_performed = 1
        request.user_information.append(item)
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    return bytes(pdu.encode())


def command(field: int, message_id: int, data_set: bool, *more: tuple[int, bytes]) -> bytes:
    """A command set (PS3.7 6.3.1) of these elements and `more`, in ascending order."""
    elements = {
        0x0100: struct.pack("<H", field),
        0x0110: struct.pack("<H", message_id),
        0x0700: struct.pack("<H", 2),
        0x0800: struct.pack("<H", 0x0001 if data_set else 0x0101),
        **dict(more),
    }
    body = b"".join(
        struct.pack("<HHI", 0, number, len(value)) + value
        for number, value in sorted(elements.items())
    )
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def padded(uid: str) -> bytes:
    """A UID as PS3.5 encodes it."""
    return uid.encode() + b"\0" * (len(uid) % 2)


def store_command(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """A C-STORE-RQ."""
    uids = (0x0002, padded(sop_class_uid)), (0x1000, padded(sop_instance_uid))
    return command(0x0001, message_id, True, *uids)


def echo_command(message_id: int) -> bytes:
    """A C-ECHO-RQ."""
    return command(0x0030, message_id, False, (0x0002, padded(VERIFICATION)))


def p_data(context_id: int, control: int, fragment: bytes) -> bytes:
    """A P-DATA-TF PDU of one presentation data value."""
    length = len(fragment) + 2
    return struct.pack(">BBIIBB", 4, 0, length + 4, length, context_id, control) + fragment


RELEASE = struct.pack(">BBII", 5, 0, 4, 0)


class Sender:
    """One association; `store` returns when the object is sent, not when it is answered."""

    def __init__(
        self,
        port: int,
        contexts: Sequence[tuple[str, Sequence[str]]],
        window: int | None = None,
        timeout_seconds: float = 60.0,
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._negotiate(contexts, window)
        except BaseException:
            self.socket.close()
            raise

    def _negotiate(self, contexts: Sequence[tuple[str, Sequence[str]]], window: int | None) -> None:
        self.socket.sendall(association_request(contexts, window))
        kind, body = self._pdu()
        if kind != 2:
            raise ConnectionError(f"association not accepted: PDU type {kind}")
        answer = A_ASSOCIATE_AC()
        answer.decode(struct.pack(">BBI", kind, 0, len(body)) + body)
        primitive = answer.to_primitive()
        # SOP class to the id of its accepted context.
        self.contexts = {
            contexts[(context.context_id - 1) // 2][0]: context.context_id
            for context in primitive.presentation_context_definition_results_list
            if context.result == 0
        }
        windows = [
            item
            for item in primitive.user_information
            if isinstance(item, AsynchronousOperationsWindowNegotiation)
        ]
        self.window = windows[0].maximum_number_operations_invoked if windows else 1

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def store(
        self,
        message_id: int,
        sop_class_uid: str,
        sop_instance_uid: str,
        fragments: Iterable[bytes],
    ) -> None:
        """Send one C-STORE; every fragment becomes PDUs of its own."""
        context_id = self.contexts[sop_class_uid]
        request = store_command(message_id, sop_class_uid, sop_instance_uid)
        waiting = p_data(context_id, _COMMAND | _LAST, request)
        last = b""
        for fragment in fragments:
            for begin in range(0, len(fragment), _LARGEST_PDV_BYTES):
                if last:
                    self.socket.sendall(waiting + p_data(context_id, 0, last))
                    waiting = b""
                last = fragment[begin : begin + _LARGEST_PDV_BYTES]
        self.socket.sendall(waiting + p_data(context_id, _LAST, last))

    def echo(self, message_id: int = 1) -> int:
        """Send a C-ECHO and return its status."""
        request = echo_command(message_id)
        self.socket.sendall(p_data(self.contexts[VERIFICATION], _COMMAND | _LAST, request))
        return self.responses(1)[message_id]

    def responses(self, count: int) -> dict[int, int]:
        """The status by Message ID Being Responded To of the next `count` responses."""
        found: dict[int, int] = {}
        for _ in range(count):
            number, status = self.response()
            assert number not in found, f"message {number} was answered twice"
            found[number] = status
        return found

    def response(self) -> tuple[int, int]:
        """The next response: message id, status. Raises ConnectionError."""
        kind, body = self._pdu()
        if kind != 4:
            raise ConnectionError(f"PDU type {kind} instead of a response")
        length, _, control = struct.unpack_from(">IBB", body)
        assert length + 4 == len(body)
        assert control == _COMMAND | _LAST
        position, values = 6, {}
        while position < len(body):
            _, number, size = struct.unpack_from("<HHI", body, position)
            values[number] = body[position + 8 : position + 8 + size]
            position += 8 + size
        return tuple(struct.unpack("<HH", values[0x0120] + values[0x0900]))

    def release(self) -> None:
        """Release the association and wait until the other side agrees."""
        self.socket.sendall(RELEASE)
        assert self._pdu()[0] == 6

    def _pdu(self) -> tuple[int, bytes]:
        kind, _, length = struct.unpack(">BBI", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            more = self.socket.recv(count - len(content))
            if not more:
                raise ConnectionError("the node closed the connection")
            content += more
        return content


MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
PLAIN = ((VERIFICATION, [ExplicitVRLittleEndian]), (MAMMOGRAPHY, [ExplicitVRLittleEndian]))
