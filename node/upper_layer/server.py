"""The listening socket: who gets a thread, and TLS before a thread of the acceptor is spent on it.

Subclasses ThreadedAssociationServer because its accept loop does the TLS handshake itself, so that
one silent peer stops everybody; because it takes any number of connections from one host; and
because it copies all supported contexts for each of them.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from node.upper_layer.acceptor import StreamingAssociation
from node.upper_layer.connection import Connection, Deadlines
from node.upper_layer.messages import StorageService

# Connections that may wait for `accept` (the kernel caps this at net.core.somaxconn).
_BACKLOG = 512
# Connections without an association yet, above the number of associations, before new ones are
# closed at once: they cost a thread each until their deadline.
_HALF_OPEN = 32


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What the server gives to every association."""

    service: StorageService
    deadlines: Deadlines
    async_operations: int
    handshake_seconds: float
    max_connections_per_host: int
    max_connections: int
    # Makes the TLS context in force, anew when certificates were replaced; None: no TLS.
    tls: Callable[[], ssl.SSLContext] | None = None


class Admission:
    """Counts connections, in all and by host."""

    def __init__(self, per_host: int, total: int) -> None:
        self._per_host = per_host + _HALF_OPEN
        self._total = total + 4 * _HALF_OPEN
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, host: str) -> bool:
        """Whether one more connection of this host is taken; if so, `leave` must follow."""
        with self._lock:
            if self._open[host] >= self._per_host or self._open.total() >= self._total:
                return False
            self._open[host] += 1
            return True

    def leave(self, host: str) -> None:
        """One connection of this host has ended."""
        with self._lock:
            self._open[host] -= 1
            if not self._open[host]:
                del self._open[host]


class Listener(ThreadedAssociationServer):
    """Listens on one address; several processes may share it (SO_REUSEPORT)."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = _BACKLOG
    # Also how long an orderly end takes to be noticed.
    poll_seconds = 0.2

    def __init__(
        self,
        entity: AE,
        address: tuple[str, int],
        acceptance: Acceptance,
        handlers: list[Any],
    ) -> None:
        """Bind the address. Raises OSError."""
        self.acceptance = acceptance
        self.admission = Admission(acceptance.max_connections_per_host, acceptance.max_connections)
        super().__init__(
            entity,
            address,
            entity.ae_title,
            entity.supported_contexts,
            evt_handlers=handlers,
            request_handler=StreamingHandler,
        )

    def server_bind(self) -> None:
        """Bind, sharing the port with this receiver's other processes."""
        assert self.socket is not None
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept, and nothing else: a handshake here would make everybody wait for it."""
        assert self.socket is not None
        client, address = self.socket.accept()
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether this connection gets a thread."""
        return self.admission.enter(client_address[0])

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Do the handshake, then start the association; in a thread of its own."""
        try:
            client = self._secured(request)
            self.finish_request(client, client_address)
        except (OSError, ValueError, RuntimeError):
            # A failed handshake, a peer that is gone, or no thread left: only this peer is hurt.
            self.shutdown_request(request)
            self.admission.leave(client_address[0])

    def start(self) -> threading.Thread:
        """Serve in a thread; `shutdown` ends it."""
        self.ae._servers.append(self)
        thread = threading.Thread(
            target=self.serve_forever, args=(self.poll_seconds,), name="listener", daemon=True
        )
        thread.start()
        return thread

    def drain(self, seconds: float) -> None:
        """Wait until associations have ended, `seconds` at most; for after `shutdown`."""
        deadline = time.monotonic() + seconds
        while self.active_associations and time.monotonic() < deadline:
            time.sleep(0.05)

    def _secured(self, client: socket.socket) -> socket.socket:
        if self.acceptance.tls is None:
            return client
        deadline = time.monotonic() + self.acceptance.handshake_seconds
        secured = self.acceptance.tls().wrap_socket(
            client, server_side=True, do_handshake_on_connect=False
        )
        secured.setblocking(False)
        while not _handshaken(secured):
            left = deadline - time.monotonic()
            if left <= 0 or not _readable(secured, left):
                secured.close()
                raise TimeoutError("no TLS handshake in time")
        secured.setblocking(True)
        return secured


class StreamingHandler(RequestHandler):
    """Makes the association of one connection."""

    server: Listener

    def _create_association(self) -> StreamingAssociation:
        server, host = self.server, self.client_address[0]
        acceptance = server.acceptance
        association = StreamingAssociation(
            self.ae, acceptance.async_operations, on_end=lambda: server.admission.leave(host)
        )
        association._server = server
        # pynetdicom finds the threads of a server by this name.
        association.name = f"AcceptorThread@{host}:{self.client_address[1]}"
        connection = Connection(association, self.request, acceptance.deadlines)
        association.attach(connection, acceptance.service)
        self._introduce(association)
        self._bind(association)
        return association

    def _introduce(self, association: StreamingAssociation) -> None:
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = self.server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        # Shared, not copied: negotiation makes new contexts and leaves these alone.
        acceptor.supported_contexts = self.server.contexts
        association.requestor.address_info = self.remote

    def _bind(self, association: StreamingAssociation) -> None:
        bound: Any
        for event, bound in self.server._handlers.items():
            # Any number of handlers for a notification, one for an intervention.
            several = bound if isinstance(event, evt.NotificationEvent) else [bound]
            for handler, arguments in several:
                association.bind(event, handler, arguments)


def _readable(client: socket.socket, seconds: float) -> bool:
    poll = select.poll()
    poll.register(client, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _handshaken(secured: ssl.SSLSocket) -> bool:
    try:
        secured.do_handshake()
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
    return True
