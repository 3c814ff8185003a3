"""Calling a peer: one association to an application entity of `SENTINODE_PEERS`, as its requestor.

In: the peer and the presentation contexts to ask for. Out: an established association. What must
hold: a peer that is away, silent or stuck in the middle of a PDU costs `timeout_seconds` and an
error that says what to look at, never a thread for good.

Errors tell what to do next: no connection, no answer or a rejection may heal; contexts that the
peer does not accept will not.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ssl import SSLCertVerificationError, SSLContext, SSLSocket
from typing import Any

from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association

from node.errors import DestinationRefusedError, DestinationUnavailableError
from node.peers import Peer
from node.settings import Settings
from node.tls import client_context
from node.upper_layer.requestor import hear_answers

VERIFICATION = "1.2.840.10008.1.1"  # PS3.6 table A-1
# Abstract syntax UID, transfer syntax UIDs.
Context = tuple[str, Sequence[str]]
UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")  # Explicit and Implicit VR LE

_CONNECT_SECONDS = 10.0
_LOOKS_PER_TIMEOUT = 10


def call(
    peer: Peer,
    contexts: Sequence[Context],
    settings: Settings,
    roles: Sequence[Any] = (),
    evt_handlers: Sequence[tuple[Any, ...]] = (),
) -> Association:
    """Open an association; the caller releases or aborts it, or uses `calling`, which does.

    contexts: (abstract syntax UID, transfer syntax UIDs), one presentation context each, at most
    128 (PS3.8 9.3.2.2). The peer may have accepted some of them only: see `accepted_contexts`.
    roles: what `pynetdicom.build_role` makes. Raises DestinationUnavailableError,
    DestinationRefusedError, ConfigurationError.
    """
    entity = AE(settings.ae_title)
    entity.connection_timeout = min(_CONNECT_SECONDS, peer.timeout_seconds)
    entity.acse_timeout = entity.dimse_timeout = peer.timeout_seconds
    entity.network_timeout = peer.timeout_seconds
    tls = _tls(peer, settings)
    handlers: list[Any] = [(evt.EVT_CONN_OPEN, _prepare, [peer])]
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            [build_context(abstract, list(transfer)) for abstract, transfer in contexts],
            peer.ae_title,
            settings.dicom_max_pdu_bytes,
            list(roles),
            tls_args=None if tls is None else (tls, peer.host),
            evt_handlers=[*handlers, *evt_handlers],
        )
    except OSError as error:  # the host name does not resolve
        raise DestinationUnavailableError(f"{_where(peer)}: {error.strerror}") from error
    if not association.is_established:
        _close_socket(association)
    _check_established(association, peer, _told(tls))
    return association


@contextmanager
def calling(
    peer: Peer,
    contexts: Sequence[Context],
    settings: Settings,
    roles: Sequence[Any] = (),
    evt_handlers: Sequence[tuple[Any, ...]] = (),
) -> Iterator[Association]:
    """`call` for the length of a block: released at its end, aborted when the block raises.

    A peer that ends the association meanwhile is a DestinationUnavailableError.
    """
    association = call(peer, contexts, settings, roles, evt_handlers)
    try:
        yield association
        association.release()
    except RuntimeError as error:
        # What pynetdicom says to a message on an association that ended since it was looked at.
        if association.is_established:
            association.abort()
            raise
        raise DestinationUnavailableError(f"{_where(peer)} has ended the association") from error
    except BaseException:
        association.abort()
        raise
    finally:
        _close_socket(association)


@contextmanager
def patient(association: Association, peer: Peer) -> Iterator[None]:
    """Within the block a message may take any time as long as its bytes keep coming or going.

    pynetdicom's DIMSE timeout covers a whole message, and one tomosynthesis object may take minutes
    on a slow line. Silence of `timeout_seconds` ends the wait as the timeout would.
    """
    done = threading.Event()
    timer = association.dul._idle_timer

    def note(_event: evt.Event) -> None:
        timer.restart()

    def watch() -> None:
        while not done.wait(peer.timeout_seconds / _LOOKS_PER_TIMEOUT):
            if association.dul.idle_timer_expired():
                association.dimse.msg_queue.put((None, None))
                return

    association.dimse_timeout = None
    timer.restart()
    association.bind(evt.EVT_DATA_SENT, note)
    watcher = threading.Thread(target=watch, name=f"patience {peer.ae_title}", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        association.unbind(evt.EVT_DATA_SENT, note)
        association.dimse_timeout = peer.timeout_seconds


def echo(peer: Peer, settings: Settings) -> None:
    """C-ECHO. Raises DestinationUnavailableError, DestinationRefusedError, ConfigurationError."""
    with calling(peer, [(VERIFICATION, UNCOMPRESSED)], settings) as association:
        status = association.send_c_echo().get("Status")
        if status != 0x0000:
            raise DestinationUnavailableError(f"{_where(peer)}: {answer_text(status)} to C-ECHO")


def answer_text(status: int | None) -> str:
    """A DIMSE status for people; None: the peer did not answer in time."""
    return "no answer" if status is None else f"status 0x{status:04X}"


class _TellingSocket(SSLSocket):
    """Keeps what ended its handshake: pynetdicom only says that there is no connection."""

    def connect(self, addr: Any) -> None:
        """Connect and shake hands."""
        try:
            super().connect(addr)
        except OSError as error:
            self.context.refusal = error  # type: ignore[attr-defined]  # read by `_told`
            raise


def _tls(peer: Peer, settings: Settings) -> SSLContext | None:
    if not peer.tls:
        return None
    context = client_context(settings, peer)
    context.sslsocket_class = _TellingSocket
    return context


def _told(tls: SSLContext | None) -> str:
    """Why the TLS connection failed, as far as OpenSSL says it."""
    refusal = getattr(tls, "refusal", None)
    if refusal is None:
        return " (or does not accept our certificate)" if tls else ""
    if isinstance(refusal, SSLCertVerificationError):
        return f": its certificate is not accepted: {refusal.verify_message}; see ca_file"
    return f": {refusal.strerror or refusal}"


def _prepare(event: evt.Event, peer: Peer) -> None:
    hear_answers(event)
    # pynetdicom reads a PDU to its end without any timeout: a peer that stops in the middle of one
    # would hold the association, and whoever aborts it, for good.
    connection: Any = event.assoc.dul.socket
    connection.socket.settimeout(peer.timeout_seconds)
    # Else the second PDU of every message waits 40 ms for the peer's delayed acknowledgement.
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _close_socket(association: Association) -> None:
    """Close what pynetdicom leaves to garbage collection when the peer closed first."""
    connection: Any = association.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.close()


def _check_established(association: Association, peer: Peer, told: str) -> None:
    if association.is_established:
        return
    # With no context left pynetdicom aborts on its own, so look at the contexts first.
    if association.rejected_contexts:
        names = sorted({str(context.abstract_syntax) for context in association.rejected_contexts})
        raise DestinationRefusedError(
            f"{_where(peer)} accepts none of the presentation contexts ({', '.join(names)})"
        )
    if association.is_rejected and association.acceptor.primitive is not None:
        reason = association.acceptor.primitive.reason_str
        raise DestinationUnavailableError(
            f"{_where(peer)} rejects the association: {reason}; check both AE titles there and here"
        )
    raise DestinationUnavailableError(f"{_where(peer)} does not answer{told}")


def _where(peer: Peer) -> str:
    return f"{peer.ae_title} ({peer.host}:{peer.port})"
