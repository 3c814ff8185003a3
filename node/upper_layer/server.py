"""The listening socket: who gets a thread, and TLS before a thread of the acceptor is spent on it.

Subclasses ThreadedAssociationServer because its accept loop does the TLS handshake itself, so that
one silent peer stops everybody; because it takes any number of connections from one host; and
because it copies all supported contexts for each of them.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from node.access import plain_host
from node.upper_layer.acceptor import StreamingAssociation
from node.upper_layer.connection import Connection, Deadlines
from node.upper_layer.fairness import Turns
from node.upper_layer.limits import Admission, Notices
from node.upper_layer.messages import StorageService
from node.upper_layer.sharing import SharedPort

# Connections that may wait for `accept` (the kernel caps this at net.core.somaxconn).
_BACKLOG = 512
# From an A-ABORT of ours to the end of the connection, when the process ends.
_ABORT_SECONDS = 1.0
# What OpenSSL says of a failed handshake, for whoever set up the two sides.
_DISTRUSTED = "it does not accept the certificate of this node"
_HANDSHAKE_ERRORS = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS to a port with TLS",
    "HTTP_REQUEST": "it does not speak TLS to a port with TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no client certificate",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not accepted",
    "UNSUPPORTED_PROTOCOL": "it knows neither TLS 1.2 nor TLS 1.3",
    "NO_SHARED_CIPHER": "it knows none of the cipher suites that are allowed here",
    "TLSV1_ALERT_UNKNOWN_CA": _DISTRUSTED,
    "SSLV3_ALERT_BAD_CERTIFICATE": _DISTRUSTED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": _DISTRUSTED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _DISTRUSTED,
}
# Pause when this process has no descriptor left for one more connection.
_NO_DESCRIPTOR_SECONDS = 0.05


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
    # Several processes listen on the same port, each with its number in this.
    port: SharedPort | None = None
    # Hears why a connection ended before its association: host, reason.
    notice: Callable[[str, str], None] = lambda _host, _reason: None
    # One for all listeners of a process.
    turns: Turns = field(default_factory=Turns)


class Listener(ThreadedAssociationServer):
    """Listens on one address, which several processes may share."""

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
        self.admission = Admission(
            acceptance.max_connections_per_host,
            acceptance.max_connections,
            acceptance.port.tell if acceptance.port else lambda _connections: None,
        )
        self.notices = Notices(acceptance.notice)
        super().__init__(
            entity,
            address,
            entity.ae_title,
            entity.supported_contexts,
            evt_handlers=handlers,
            request_handler=StreamingHandler,
        )

    def server_bind(self) -> None:
        """Bind, or take the socket that this receiver's processes share. Raises OSError."""
        port = self.acceptance.port
        if port is None:
            super().server_bind()
            return
        assert self.socket is not None
        self.socket.close()
        self.socket = port.bind_listener()
        self.server_address = self.socket.getsockname()

    def server_close(self) -> None:
        """Close the socket; one that is shared goes on listening in other processes."""
        if self.acceptance.port is None:
            super().server_close()
            return
        assert self.socket is not None
        self.socket.close()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept, and nothing else: a handshake here would make everybody wait for it.

        Raises OSError.
        """
        assert self.socket is not None
        if self.acceptance.port is not None:
            self.acceptance.port.give_way()
        try:
            client, address = self.socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                # It stays acceptable: without a pause this loop would be a busy core.
                time.sleep(_NO_DESCRIPTOR_SECONDS)
            raise
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether this connection gets a thread."""
        host = plain_host(client_address[0])
        if self.admission.enter(host):
            return True
        self.notices.tell(host, "too many connections, closed at once")
        return False

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for this connection."""
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            # No thread left: only this peer is hurt.
            self._drop(request, client_address, "no thread for it")

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Do the handshake, then start the association; in a thread of its own."""
        client = request
        try:
            client = self._secured(request)
            self.finish_request(client, client_address)
        except _SilentError:
            self._close(client, client_address)
        except Exception as error:  # noqa: BLE001  # whatever it was, only this peer is hurt
            # Mostly a failed handshake or a peer that is gone.
            self._drop(client, client_address, _told(error))

    def _drop(self, client: Any, client_address: Any, reason: str) -> None:
        self._close(client, client_address)
        self.notices.tell(plain_host(client_address[0]), reason)

    def _close(self, client: Any, client_address: Any) -> None:
        self.shutdown_request(client)
        self.admission.leave(plain_host(client_address[0]))

    def start(self) -> threading.Thread:
        """Serve in a thread; `shutdown` ends it."""
        self.ae._servers.append(self)
        thread = threading.Thread(
            target=self.serve_forever, args=(self.poll_seconds,), name="listener", daemon=True
        )
        thread.start()
        return thread

    def drain(self, seconds: float) -> None:
        """Wait until associations have ended, then end the rest; for after `shutdown`.

        It takes `seconds` at most, and two more for those that must be ended.
        """
        if self._wait_for_none(seconds):
            return
        for association in self._associations():
            association.acse.send_abort(0x00)
        if self._wait_for_none(_ABORT_SECONDS):
            return
        for association in self._associations():
            association.cut()
        self._wait_for_none(_ABORT_SECONDS)

    def _associations(self) -> list[StreamingAssociation]:
        active = self.active_associations
        return [each for each in active if isinstance(each, StreamingAssociation)]

    def _wait_for_none(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while any(each.dul.is_alive() for each in self._associations()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _secured(self, client: socket.socket) -> socket.socket:
        if self.acceptance.tls is None:
            return client
        deadline = time.monotonic() + self.acceptance.handshake_seconds
        if _ready(client, select.POLLIN, self.acceptance.handshake_seconds) and _has_left(client):
            raise _SilentError
        secured = self.acceptance.tls().wrap_socket(
            client, server_side=True, do_handshake_on_connect=False
        )
        try:
            secured.setblocking(False)
            while (event := _handshake_waits_for(secured)) is not None:
                left = deadline - time.monotonic()
                if left <= 0 or not _ready(secured, event, left):
                    raise TimeoutError("no TLS handshake in time")
            secured.setblocking(True)
        except OSError:
            # `client` has no descriptor any more: wrapping moved it.
            self.shutdown_request(secured)
            raise
        return secured


class _SilentError(Exception):
    """A peer that left without a byte, as health checks of a port do."""


class StreamingHandler(RequestHandler):
    """Makes the association of one connection."""

    server: Listener

    def handle(self) -> None:
        """Start the association, or leave nothing of it."""
        try:
            super().handle()
        except RuntimeError:
            self._connection.release_descriptors()
            raise

    def _create_association(self) -> StreamingAssociation:
        server, host = self.server, plain_host(self.client_address[0])
        acceptance = server.acceptance
        association = StreamingAssociation(
            self.ae, acceptance.async_operations, on_end=lambda: server.admission.leave(host)
        )
        association._server = server
        # pynetdicom finds the threads of a server by this name.
        association.name = f"AcceptorThread@{host}:{self.client_address[1]}"
        connection = Connection(association, self.request, acceptance.deadlines)
        connection.take_turns(host, acceptance.turns)
        connection.notices = server.notices
        self._connection = connection
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


def _ready(client: socket.socket, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(client, event)
    return bool(poll.poll(seconds * 1000))


def _has_left(client: socket.socket) -> bool:
    try:
        return not client.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def _handshake_waits_for(secured: ssl.SSLSocket) -> int | None:
    """The event of poll(2) that a handshake needs to go on; None when it is complete."""
    try:
        secured.do_handshake()
    except ssl.SSLWantReadError:
        return select.POLLIN
    except ssl.SSLWantWriteError:
        return select.POLLOUT
    return None


def _told(error: Exception) -> str:
    """The error for people, with OpenSSL's own words behind it."""
    meaning = _HANDSHAKE_ERRORS.get(getattr(error, "reason", None) or "")
    return f"{meaning}: {error}" if meaning else str(error)
