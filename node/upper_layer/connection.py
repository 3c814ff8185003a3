"""The socket of one association: reads through the buffer, with deadlines; writes with one.

Subclasses AssociationSocket because its `recv` loops over 4 kB reads without any deadline: six
bytes and then silence hold a thread for ever. Because `ready` calls select, which fails above 1024
open files. And because a peer that does not read its responses must not hold a thread either.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from node.upper_layer.buffer import ReceiveBuffer
from node.upper_layer.fairness import Turns
from node.upper_layer.limits import Notices

# States of PS3.8 table 9-10 before an association is established.
_NOT_ESTABLISHED = frozenset({"Sta1", "Sta2", "Sta3"})


@dataclass(frozen=True, slots=True)
class Deadlines:
    """What a peer may take, and how much it may send at once."""

    # From the first byte of a PDU to its last, and for the peer to take what is sent to it.
    pdu_seconds: float
    association_seconds: float
    # From connecting to an established association.
    request_seconds: float = 30.0
    # A PDU that is held whole: the association request. With 128 contexts (their ids are odd
    # bytes) of 40 transfer syntaxes each it has 150 kB; one of 256 kB costs 0.2 s to decode.
    largest_held_pdu_bytes: int = 1 << 18
    # A P-DATA PDU, which is streamed; 0 is no limit.
    largest_streamed_pdu_bytes: int = 0


# What a read says when there is nothing yet.
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError)


def _sent_at_once(client: socket.socket, content: bytes) -> int:
    """How many bytes could be sent without waiting. Raises OSError."""
    try:
        return client.send(content)
    except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
        return 0


class Connection(AssociationSocket):
    """A connected socket of an acceptor; `take_turns` says with whom its host shares."""

    host = ""
    _work: AbstractContextManager[None] = contextlib.nullcontext()
    _settling: AbstractContextManager[None] = contextlib.nullcontext()
    notices = Notices(lambda _host, _reason: None)
    _is_tcp = False
    # Whether the operator knows why this peer is dropped.
    _is_told = False

    def __init__(
        self, association: Association, client: socket.socket, deadlines: Deadlines
    ) -> None:
        super().__init__(association, client_socket=client)
        self.deadlines = deadlines
        self.buffer = ReceiveBuffer()
        self._opened = time.monotonic()
        # Reads wait in `poll`, where there is something to wait for; a time-out of the socket would
        # poll before every read.
        client.setblocking(False)
        self._is_tcp = client.family in (socket.AF_INET, socket.AF_INET6)
        if self._is_tcp:
            # Responses are small; waiting for more to send would delay every next object.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wake_descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake_lock = threading.Lock()
        self._reading = select.poll()
        self._reading.register(client, select.POLLIN)
        self._poll = select.poll()
        self._poll.register(client, select.POLLIN)
        self._poll.register(self._wake_descriptor, select.POLLIN)

    def take_turns(self, host: str, turns: Turns) -> None:
        """Take turns with other hosts from now on."""
        self.host = host
        # One object each, used again and again: a mammogram has two hundred fragments.
        self._work, self._settling = turns.work.turn(host), turns.settling.turn(host)

    def wait(self, seconds: float) -> bool:
        """Whether there is something to read, after at most `seconds`, or sooner when woken."""
        if self.ready_now():
            return True
        events = dict(self._poll.poll(seconds * 1000))
        if events.pop(self._wake_descriptor, None) is not None:
            os.eventfd_read(self._wake_descriptor)
        return bool(events) and not self._only_half_a_record()

    def ready_now(self) -> bool:
        """Whether bytes lie in the buffer, or deciphered in the TLS layer."""
        if len(self.buffer):
            return True
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    def _only_half_a_record(self) -> bool:
        """Whether what can be read is TLS without data: then no PDU and no deadline has begun."""
        client = self.socket
        if not isinstance(client, ssl.SSLSocket):
            return False
        try:
            self.buffer.fill(client)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            # The reader will see it again.
            return False
        return False

    @property
    def ready(self) -> bool:
        """Whether a read would not block."""
        if self.socket is None or not self._is_connected:
            return False
        return self.wait(0)

    def wake(self) -> None:
        """End a `wait` of the DUL's thread; any thread may call this."""
        with self._wake_lock:
            if self._wake_descriptor >= 0:
                os.eventfd_write(self._wake_descriptor, 1)

    def working(self) -> AbstractContextManager[None]:
        """Work on bytes in the block, in turn; never wait for the network in it."""
        return self._work

    def settling(self) -> AbstractContextManager[None]:
        """Make objects durable in the block, in turn."""
        return self._settling

    def hang_up(self) -> None:
        """End a read or a write that waits for the peer; any thread may call this."""
        client = self.socket
        if client is not None:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def tell(self, error: Exception) -> None:
        """Tell the operator why this peer is dropped; that one has gone is no news."""
        self._is_told = True
        if not isinstance(error, ConnectionError):
            self.notices.tell(self.host, str(error))

    def tell_unless_told(self, error: Exception) -> None:
        """The same, where nobody has told what is known of it."""
        if not self._is_told:
            self.tell(error)

    def expired(self) -> bool:
        """Whether the association has lived too long."""
        return time.monotonic() - self._opened > self.deadlines.association_seconds

    def need(self, count: int, deadline: float) -> bool:
        """Have `count` bytes in the buffer; False when the peer closed before.

        `deadline` is on the clock of time.monotonic. Raises OSError, TimeoutError.
        """
        while len(self.buffer) < count:
            if not self.more(deadline):
                return False
        return True

    def more(self, deadline: float) -> bool:
        """Read once, waiting until `deadline`; False when the peer closed. Raises OSError."""
        client = self.socket
        if client is None:
            return False
        while (left := deadline - time.monotonic()) > 0:
            try:
                return self.buffer.fill(client) > 0
            except _NOT_YET:
                self._reading.poll(left * 1000)
        raise TimeoutError("the peer took too long for one PDU")

    def pdu_deadline(self) -> float:
        """When a PDU that begins now must be complete."""
        latest = time.monotonic() + self.deadlines.pdu_seconds
        if self._assoc.dul.state_machine.current_state in _NOT_ESTABLISHED:
            return min(latest, self._opened + self.deadlines.request_seconds)
        return latest

    def acknowledge(self) -> None:
        """Have the kernel acknowledge what is here at once, for the next moment.

        A sender that writes a command and its data set separately, without TCP_NODELAY, waits for
        this acknowledgement, and the kernel would delay it by up to 40 ms for each object.
        """
        if self.socket is not None and self._is_tcp:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read a header, or the rest of a PDU that is held whole. Raises OSError."""
        if nr_bytes > self.deadlines.largest_held_pdu_bytes:
            raise OSError(f"a PDU of {nr_bytes} bytes is refused")
        deadline = self.pdu_deadline()
        received = bytearray()
        while len(received) < nr_bytes:
            if not len(self.buffer) and not self.more(deadline):
                break
            received += self.buffer.take(nr_bytes - len(received))
        return received

    def throw_away(self) -> bool:
        """Forget what was received; False when there is nothing or the peer closed."""
        self.buffer.take(len(self.buffer))
        try:
            return self.ready and self.more(time.monotonic() + 1)
        except OSError:
            return False

    def send(self, bytestream: bytes) -> None:
        """Send all, or close: Evt17 (PS3.8 table 9-10) when the peer does not take it in time."""
        client = self.socket
        try:
            if client is None:
                raise ConnectionError("closed")
            # A response fits into the kernel's buffer, as a rule: without waiting, three system
            # calls less.
            sent = _sent_at_once(client, bytestream)
            if sent < len(bytestream):
                client.settimeout(self.deadlines.pdu_seconds)
                client.sendall(memoryview(bytestream)[sent:])
                client.setblocking(False)
        except OSError as error:
            self.tell(error)
            self.event_queue.put("Evt17")

    def _shutdown_socket(self) -> None:
        # Closed also when the peer was first: pynetdicom then leaves it to garbage collection.
        client = self.socket
        if client is None:
            return
        try:
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        finally:
            client.close()

    def release_descriptors(self) -> None:
        """Close the waking descriptor; only the DUL's thread, when it ends."""
        with self._wake_lock:
            os.close(self._wake_descriptor)
            # Its number may be another file's from now on.
            self._wake_descriptor = -1
