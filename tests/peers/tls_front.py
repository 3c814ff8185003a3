"""A reverse proxy as hospitals put it before an archive: TLS outside, plain TCP inside."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.peers.certificates import Certificate

_PIECE_BYTES = 1 << 16


@contextmanager
def running_tls_front(inner_port: int, certificate: Certificate) -> Iterator[int]:
    """Run one before a port of this machine; its own port inside the block."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            # A client that does not trust us ends the handshake.
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as outer,
                socket.create_connection(("127.0.0.1", inner_port)) as inner,
            ):
                back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
                back.start()
                _pump(outer, inner)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
