"""The DUL service provider of a receiving association: waits for events, streams C-STORE.

Subclasses DULServiceProvider because its loop sleeps a millisecond between looks at the socket and
its queues, and because it turns every P-DATA into objects. The loop itself stays pynetdicom's: it
blocks in `_is_transport_event` instead of sleeping, and every PDU that is not P-DATA of an
established association is read and acted on as before.
"""

from __future__ import annotations

import struct
import time
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import StateMachine
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import A_P_ABORT

from node.upper_layer.connection import Connection
from node.upper_layer.messages import ProtocolError, StorageService
from node.upper_layer.request import fault, simplified
from node.upper_layer.stream import StoreStream

_PDU_HEADER = struct.Struct(">BBI")
_P_DATA_TF = 0x04
# After a command its sender may wait for the acknowledgement; within a data set nobody does.
_SMALL_PDU_BYTES = 4096
# PS3.8 table 9-10: the association is established and may transfer data.
_ESTABLISHED, _CLOSING = "Sta6", "Sta13"
_CLOSED, _INVALID_PDU = "Evt17", "Evt19"
# Requests other than C-STORE that were read and not served yet: a peer that never reads its
# answers must not fill the memory with requests.
_MOST_WAITING = 64
# For the operator, where nothing more is known.
_NOT_UNDERSTOOD = "a message or PDU that cannot be understood"
# Timers are looked at this often while nothing happens.
_TICK_SECONDS = 1.0
# PS3.8 table 9-11.
_A_ASSOCIATE_RQ = 0x01
# What a connection may begin with, and the first byte of a TLS handshake (RFC 8446 5.1).
_AWAITING_REQUEST, _PDU_TYPES, _TLS_HANDSHAKE = "Sta2", range(0x01, 0x08), 0x16


class LastingStateMachine(StateMachine):
    """pynetdicom's; what it cannot act on ends the association instead of its thread.

    An A-ABORT with a reserved source and a command of an unknown kind raise in it, and the peer
    would not hear that it was aborted.
    """

    dul: StreamingProvider

    def do_action(self, event: str) -> None:
        """Act on an event, or give up."""
        if event == _INVALID_PDU:
            self.dul.connection.tell_unless_told(ProtocolError(_NOT_UNDERSTOOD))
        try:
            super().do_action(event)
        except Exception:  # noqa: BLE001  # a peer's bytes: whatever they broke, it is told
            self.dul.connection.tell_unless_told(ProtocolError(_NOT_UNDERSTOOD))
            self.dul.give_up()


class StreamingProvider(DULServiceProvider):
    """`stream` is set with the socket, before the thread starts."""

    stream: StoreStream
    connection: Connection

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self.state_machine = LastingStateMachine(self)
        # The loop's own pause; waiting happens in `_is_transport_event`.
        self._run_loop_delay = 0
        self.daemon = True

    def attach(self, connection: Connection, service: StorageService) -> None:
        """Use this socket and store with this service."""
        self.connection = connection
        self.stream = StoreStream(self.assoc, connection, service, self._hand_over)

    def run_reactor(self) -> None:
        """Run pynetdicom's loop; whatever ends it, nothing half received stays."""
        try:
            super().run_reactor()
        finally:
            self.stream.abandon()
            self.connection.release_descriptors()

    def send_pdu(self, primitive: Any) -> None:
        """Queue a primitive, and wake the loop that sends it.

        A peer that waits for a long retrieval is not silent: we are the ones who speak.
        """
        super().send_pdu(primitive)
        self._idle_timer.restart()
        self.connection.wake()

    def kill_dul(self) -> None:
        """End the loop."""
        super().kill_dul()
        self.connection.wake()

    def stop_dul(self) -> bool:
        """End the loop if the association is idle."""
        self.connection.wake()
        return bool(super().stop_dul())

    def give_up(self) -> None:
        """Do what AA-8 does (PS3.8 table 9-9), past a state machine that is in no known state."""
        abort = A_ABORT_RQ()
        abort.source, abort.reason_diagnostic = 0x02, 0x00
        self.connection.send(abort.encode())
        self.connection.close()
        indication = A_P_ABORT()
        indication.provider_reason = 0x00
        self.to_user_queue.put(indication)
        self.kill_dul()

    def idle_timer_expired(self) -> bool:
        """Whether the peer was silent for too long, or has been here for too long."""
        if self.connection.expired():
            reason = "the association has lived too long"
        elif super().idle_timer_expired():
            reason = "the peer was silent for too long"
        else:
            return False
        self.connection.tell(TimeoutError(reason))
        return True

    def _is_transport_event(self) -> bool:
        if not self.event_queue.empty():
            return False
        if self.connection.socket is None:
            time.sleep(0.001)
            return False
        if self.state_machine.current_state == _CLOSING:
            # The peer's last bytes mean nothing any more; ARTIM ends one that goes on sending.
            if not self.connection.throw_away():
                self.connection.close()
            return True
        read = False
        while self.connection.wait(0 if self.stream.waiting else _TICK_SECONDS):
            self._read_pdu_data()
            read = True
            if not self._only_data_is_due():
                return True
            self._idle_timer.restart()
        self.stream.settle()
        return read

    def _only_data_is_due(self) -> bool:
        """Whether pynetdicom's loop has nothing to do; a turn of it costs 60 microseconds."""
        return (
            self.state_machine.current_state == _ESTABLISHED
            and self.event_queue.empty()
            and self.to_provider_queue.empty()
            and not self._kill_thread
        )

    def _read_pdu_data(self) -> None:
        try:
            if self.state_machine.current_state == _ESTABLISHED:
                deadline = self.connection.pdu_deadline()
                if self._is_p_data(deadline):
                    self._read_p_data(deadline)
                    return
        except (OSError, ProtocolError) as error:
            self.connection.tell(error)
            self.event_queue.put(_INVALID_PDU if isinstance(error, ProtocolError) else _CLOSED)
            return
        self.stream.settle()
        if self.state_machine.current_state == _AWAITING_REQUEST:
            self._tell_of_stranger()
        super()._read_pdu_data()

    def _tell_of_stranger(self) -> None:
        """Tell the operator of a peer that does not speak DICOM, before it is aborted."""
        connection = self.connection
        try:
            if not connection.need(1, connection.pdu_deadline()):
                return
        except OSError:
            # The reader will see it again.
            return
        first = connection.buffer.peek(1)[0]
        if first == _TLS_HANDSHAKE:
            connection.tell(ProtocolError("it speaks TLS to a port without TLS"))
        elif first not in _PDU_TYPES:
            connection.tell(ProtocolError("what it sent first is no DICOM association request"))

    def _decode_pdu(self, bytestream: bytearray) -> tuple[Any, str]:
        """Decode a PDU; of a request what is looked at. Raises any error."""
        if bytestream[0] != _A_ASSOCIATE_RQ:
            return super()._decode_pdu(bytestream)
        request = simplified(bytestream)
        try:
            return super()._decode_pdu(request)
        except Exception:
            self.connection.tell(ProtocolError(fault(request)))
            raise

    def _is_p_data(self, deadline: float) -> bool:
        connection = self.connection
        return connection.need(1, deadline) and connection.buffer.peek(1)[0] == _P_DATA_TF

    def _read_p_data(self, deadline: float) -> None:
        """Read one PDU, and what of the same data set came whole with it: nothing to wait for."""
        self._read_one(deadline)
        while self.stream.in_data_set and self._whole_p_data_is_here():
            self._read_one(deadline)

    def _read_one(self, deadline: float) -> None:
        connection = self.connection
        if not connection.need(_PDU_HEADER.size, deadline):
            raise ConnectionResetError("the peer closed in the middle of a PDU")
        _, _, length = _PDU_HEADER.unpack(connection.buffer.take(_PDU_HEADER.size))
        if length < _SMALL_PDU_BYTES and len(connection.buffer) <= length:
            connection.acknowledge()
        self.stream.read(length, deadline)

    def _whole_p_data_is_here(self) -> bool:
        buffer = self.connection.buffer
        here = len(buffer) - _PDU_HEADER.size
        if here < 0:
            return False
        kind, _, length = _PDU_HEADER.unpack(buffer.peek(_PDU_HEADER.size))
        return bool(kind == _P_DATA_TF and length <= here)

    def _hand_over(self, encoded: bytes) -> None:
        if self.assoc.dimse.msg_queue.qsize() >= _MOST_WAITING:
            raise ProtocolError("too many requests wait for their answers")
        pdu, event = self._decode_pdu(bytearray(encoded))
        self.event_queue.put(event)
        self._recv_pdu.put(pdu)
