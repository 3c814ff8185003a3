"""The acceptor's Association and ACSE: wait for events; negotiate asynchronous operations.

Subclasses Association because its loop looks at two queues every millisecond: with a hundred idle
associations that alone is a busy core. The loop stays pynetdicom's; the checkpoint that it passes
once per turn holds it until there is something to do.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from pynetdicom import AE
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation
from pynetdicom.presentation import PresentationContext

from node.upper_layer.cancelling import HeedingProvider
from node.upper_layer.connection import Connection
from node.upper_layer.messages import ProtocolError, StorageService
from node.upper_layer.provider import StreamingProvider
from node.upper_layer.sending import bound_sending
from node.upper_layer.sharing import Tally

Service = Callable[[Association, Any, PresentationContext], None]

# Timers are looked at this often while nothing happens.
_TICK_SECONDS = 1.0


class WorkGate(threading.Event):
    """The reactor's checkpoint: passes when it is set, as before, and there is work or a tick."""

    def __init__(self, has_work: Callable[[], bool]) -> None:
        super().__init__()
        self._has_work = has_work
        self._knock = threading.Event()

    def knock(self) -> None:
        """Say that there may be work."""
        self._knock.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Hold the reactor until there is work."""
        if not self._has_work():
            self._knock.wait(_TICK_SECONDS)
        self._knock.clear()
        return super().wait(timeout)


class KnockingQueue(queue.Queue[Any]):
    """A queue that knocks at a gate when something is put into it."""

    def __init__(self, gate: WorkGate) -> None:
        super().__init__()
        self._gate = gate

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put and knock."""
        super().put(item, block, timeout)
        self._gate.knock()


class RequestQueue(KnockingQueue):
    """Requests in the order in which they came; the DUL's thread puts them, and the C-CANCELs."""

    def __init__(self, gate: WorkGate, provider: HeedingProvider) -> None:
        super().__init__(gate)
        self._provider = provider

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put a context ID with its request, and knock."""
        self._provider.has_come(item[1])
        super().put(item, block, timeout)


class WindowACSE(ACSE):
    """ACSE that accepts an asynchronous operations window (PS3.7 D.3.3.3).

    Of the transfer syntaxes that one context proposes it takes the first that is supported.
    pynetdicom takes its own first, Implicit VR, which a sender of compressed images that puts all
    its syntaxes in one context cannot turn them into. Where we are the sender, as for C-GET, our
    own order counts.
    """

    def __init__(self, association: StreamingAssociation, window: int) -> None:
        super().__init__(association)
        self._association = association
        self._window = window

    def _negotiate_as_acceptor(self) -> None:
        supported = {each.abstract_syntax: each for each in self.acceptor.supported_contexts}
        request: Any = self.requestor.primitive
        for proposed in request.presentation_context_definition_list:
            ours = supported.get(proposed.abstract_syntax)
            known = [] if ours is None else ours.transfer_syntax
            first, second = proposed.transfer_syntax, known
            if ours is not None and ours.scp_role:
                first, second = second, first
            usable = [syntax for syntax in first if syntax in second]
            proposed.transfer_syntax = usable[:1] or proposed.transfer_syntax
        super()._negotiate_as_acceptor()

    def _check_async_ops(self) -> AsynchronousOperationsWindowNegotiation | None:
        """Answer with what the requestor asked for, up to our own limit; 0 asks for no limit."""
        invoked, _performed = self.requestor.asynchronous_operations
        window = min(invoked or self._window, self._window)
        self._association.dul.stream.window = window
        item = AsynchronousOperationsWindowNegotiation()
        item.maximum_number_operations_invoked = window
        item.maximum_number_operations_performed = 1
        return item


class StreamingAssociation(Association):
    """An association that receives; `on_end` is called once, when its thread ends."""

    dul: StreamingProvider

    def __init__(self, entity: AE, window: int, on_end: Callable[[], None]) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        gate = WorkGate(self._has_work)
        gate.set()
        self._reactor_checkpoint = gate
        self.acse = WindowACSE(self, window)
        self.dul = StreamingProvider(self)
        bound_sending(self)
        self.dul.to_user_queue = KnockingQueue(gate)
        self.dimse = HeedingProvider(self)
        self.dimse.msg_queue = RequestQueue(gate, self.dimse)
        # Their timers belong to the provider that was just replaced.
        self.acse_timeout = entity.acse_timeout
        self.network_timeout = entity.network_timeout
        self._on_end = on_end
        self._counted_host = ""
        self._services = entity.services if isinstance(entity, ReceivingEntity) else {}

    def attach(self, connection: Connection, service: StorageService) -> None:
        """Use this socket and store with this service; before `start`."""
        self.dul.attach(connection, service)
        self.set_socket(connection)

    def enter(self, host: str) -> tuple[int, int]:
        """Count it; returns how many that makes of this host, and of all."""
        self._counted_host = host
        entity = self.ae
        assert isinstance(entity, ReceivingEntity)
        return entity.tally.enter(host)

    def leave(self) -> None:
        """Count it no more, if it was."""
        host, self._counted_host = self._counted_host, ""
        if host and isinstance(self.ae, ReceivingEntity):
            self.ae.tally.leave(host)

    def cut(self) -> None:
        """End now, from any thread: what is half received is forgotten, what is complete kept."""
        self._kill = True
        self.dul.kill_dul()
        self.dul.connection.hang_up()

    def run_reactor(self) -> None:
        """Run pynetdicom's loop to its end, or to what it cannot negotiate or serve."""
        try:
            super().run_reactor()
        except Exception:  # noqa: BLE001  # a peer's bytes: whatever they broke, it is told
            self.abort()
            self.kill()
        finally:
            self.leave()
            self._on_end()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Serve a request by the entity's own service, where it has one for it.

        One that lacks a mandatory element ends the association: pynetdicom gives no answer, and
        its sender would wait for one until it is silent for too long.
        """
        if not msg.is_valid_request and msg.MessageIDBeingRespondedTo is None:
            self.dul.connection.tell(ProtocolError("a request lacks a mandatory element"))
            self.abort()
            return
        serve = self._services.get(type(msg))
        context = self._accepted_cx.get(context_id)
        if serve is None or context is None or self._sent_release or not msg.is_valid_request:
            super()._serve_request(msg, context_id)
            if self._sent_abort:
                reason = "a request that its presentation context does not serve"
                self.dul.connection.tell_unless_told(ProtocolError(reason))
            return
        if threading.current_thread() is not self:
            # pynetdicom serves N-EVENT-REPORT beside the loop, which may serve a retrieval.
            serve(self, msg, context)
            return
        # The service may call `send_c_store`, which waits until this loop stands still.
        self._is_paused = True
        serve(self, msg, context)
        self._is_paused = False

    def _has_work(self) -> bool:
        return (
            self._kill
            or not self.dimse.msg_queue.empty()
            or not self.dul.to_user_queue.empty()
            or not self.dul.is_alive()
        )


class ReceivingEntity(AE):
    """An AE that counts an association from its request on, not from its first byte.

    Else a hundred silent connections would take the place of a hundred modalities.
    """

    def __init__(self, ae_title: str) -> None:
        super().__init__(ae_title)
        # What serves a request instead of pynetdicom's service classes, by DIMSE primitive. A
        # service answers the request whatever happens, and does not raise.
        self.services: dict[type[Any], Service] = {}
        self.tally = Tally()

    @property
    def active_associations(self) -> list[Association]:
        """Associations whose request has arrived and that have not ended."""
        return [
            association
            for association in super().active_associations
            if association.is_requestor or _is_served(association)
        ]


def _is_served(association: Association) -> bool:
    ending = association.is_rejected or association.is_aborted or association.is_released
    return association.requestor.primitive is not None and not ending
