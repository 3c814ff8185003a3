"""A peer on a bare socket: says what it is told to, at whatever speed, from any loopback address.

PDUs and commands are encoded here, byte by byte after PS3.8 9.3 and PS3.7 E.1, so that a peer can
also say what pynetdicom would never send.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time

from pydicom.uid import ExplicitVRLittleEndian

_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_IMPLEMENTATION = b"1.2.826.0.1.3680043.8.498.1"
VERIFICATION = "1.2.840.10008.1.1"
MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """A PDU; `length` is what its header claims, if that is to differ from the truth."""
    return struct.pack(">BBI", kind, 0, len(body) if length is None else length) + body


def pdv(context_id: int, control: int, fragment: bytes) -> bytes:
    """A presentation data value item (PS3.8 9.3.5.1); control 1 is command, 2 is last."""
    return struct.pack(">IBB", len(fragment) + 2, context_id, control) + fragment


def associate_rq(
    classes: tuple[str, ...] = (VERIFICATION,),
    called: str = "SENTINODE",
    calling: str = "RAW",
    syntax: str = ExplicitVRLittleEndian,
    user: bytes = b"",
) -> bytes:
    """An A-ASSOCIATE-RQ; the n-th class has the context id 2n + 1. `user`: more of these items."""
    body = struct.pack(">HH16s16s32x", 1, 0, _ae(called), _ae(calling))
    body += item(0x10, _APPLICATION_CONTEXT)
    for number, sop_class_uid in enumerate(classes):
        names = item(0x30, sop_class_uid.encode()) + item(0x40, syntax.encode())
        body += item(0x20, struct.pack(">B3x", 2 * number + 1) + names)
    user = item(0x51, struct.pack(">I", 1 << 16)) + item(0x52, _IMPLEMENTATION) + user
    return pdu(ASSOCIATE_RQ, body + item(0x50, user))


def command(field: int, sop_class_uid: str, message_id: int = 1, instance: str = "") -> bytes:
    """A command set with a data set to follow, unless it is a C-ECHO-RQ."""
    data_set = 0x0101 if field == 0x0030 else 0x0001
    body = _element(0x0002, _even(sop_class_uid))
    body += _element(0x0100, struct.pack("<H", field))
    body += _element(0x0110, struct.pack("<H", message_id))
    body += _element(0x0700, struct.pack("<H", 0))
    body += _element(0x0800, struct.pack("<H", data_set))
    if instance:
        body += _element(0x1000, _even(instance))
    return _element(0x0000, struct.pack("<I", len(body))) + body


def c_cancel(message_id: int) -> bytes:
    """The command set of a C-CANCEL-RQ for the request of this Message ID (PS3.7 9.3.2.3)."""
    body = _element(0x0100, struct.pack("<H", 0x0FFF))
    body += _element(0x0120, struct.pack("<H", message_id))
    body += _element(0x0800, struct.pack("<H", 0x0101))
    return _element(0x0000, struct.pack("<I", len(body))) + body


C_STORE_RQ, C_FIND_RQ, C_ECHO_RQ = 0x0001, 0x0020, 0x0030


class RawPeer:
    """One connection. A context manager that closes it."""

    def __init__(
        self,
        port: int,
        source: str = "127.0.0.3",
        tls: ssl.SSLContext | None = None,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(30)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.opened = time.monotonic()

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(content)

    def associate(self, *classes: str, calling: str = "RAW") -> None:
        """Open an association with these classes."""
        self.send(associate_rq(classes, calling=calling))
        kind, body = self.receive()
        assert kind == ASSOCIATE_AC, (kind, body[:10])

    def receive(self) -> tuple[int, bytes]:
        """The next PDU: its type and its body. Raises ConnectionError when there is none."""
        kind, _, length = struct.unpack(">BBI", self._exactly(6))
        return kind, self._exactly(length)

    def reset(self) -> None:
        """Vanish: the other side gets a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def closed_after(self, limit_seconds: float) -> float:
        """Seconds from connecting until the node closed; reads on. Raises TimeoutError."""
        end = time.monotonic() + limit_seconds
        with contextlib.suppress(ConnectionError, BrokenPipeError, ssl.SSLError):
            while True:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the node has not closed the connection")
                self.socket.settimeout(left)
                if not self.socket.recv(65536):
                    break
        return time.monotonic() - self.opened

    def cut_after(self, limit_seconds: float) -> float:
        """As `closed_after`, without reading: for a peer whose point is that it never reads."""
        poll = select.poll()
        poll.register(self.socket, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
        if not poll.poll(limit_seconds * 1000):
            raise TimeoutError("the node has not closed the connection")
        return time.monotonic() - self.opened

    def _exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            more = self.socket.recv(count - len(received))
            if not more:
                raise ConnectionError("closed by the node")
            received += more
        return received


def _ae(title: str) -> bytes:
    return title.ljust(16).encode()


def item(kind: int, content: bytes) -> bytes:
    """An item or sub-item of an association request (PS3.8 9.3.2)."""
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def _even(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
