"""The C-STORE messages of one association: from the receive buffer to the storage service.

In: the body of a P-DATA-TF PDU (PS3.8 9.3.5), fragment by fragment (annex E). Out: data set bytes
to a sink while they arrive, one response for each message once it is durable. Messages other than
C-STORE are wrapped again and handed to pynetdicom.

Responses may be withheld while more requests of an asynchronous window are already here, so that
one fsync and one transaction serve them all; never longer than `LONGEST_WAIT_SECONDS`.
"""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from pynetdicom.association import Association

from node.upper_layer.command_set import (
    StoreRequest,
    elements,
    has_data_set,
    p_data,
    store_request,
    store_response,
)
from node.upper_layer.connection import Connection
from node.upper_layer.messages import DataSetSink, ProtocolError, StorageService

_ITEM_HEADER = struct.Struct(">IBB")
_PDU_HEADER = struct.Struct(">BBI")
# PS3.8 E.2: bits of the message control header.
_COMMAND, _LAST = 0x01, 0x02
# A command set is some hundred bytes; an N-ACTION or a C-FIND identifier some thousand.
LARGEST_COMMAND_BYTES = 1 << 16
LARGEST_OTHER_MESSAGE_BYTES = 1 << 22
LONGEST_WAIT_SECONDS = 0.05
# A message that comes more slowly than this, after two PDU deadlines, is not worth its place. Else
# a byte a minute, or fragments without bytes, would hold an association for hours.
LOWEST_BYTES_PER_SECOND = 1024
# After the first thousand, fragments must carry so much on average: a flood of empty ones would
# keep the interpreter from everybody else. Real senders fill PDUs of 4 kB or more.
FEW_FRAGMENTS, LOWEST_BYTES_PER_FRAGMENT = 1000, 256


@dataclass(frozen=True, slots=True)
class _Message:
    request: StoreRequest
    context_id: int
    sink: DataSetSink


class StoreStream:
    """Reads P-DATA for one association; used by its DUL thread alone."""

    def __init__(
        self,
        association: Association,
        connection: Connection,
        service: StorageService,
        hand_over: Callable[[bytes], None],
    ) -> None:
        self.window = 1
        # PDUs from this length on are looked for in a row.
        self.long_pdu_bytes = 4096
        # How many messages were answered, by status.
        self.answered: Counter[int] = Counter()
        self._association = association
        self._connection = connection
        self._service = service
        # Takes one P-DATA-TF PDU of a message that pynetdicom serves.
        self._hand_over = hand_over
        self._command = bytearray()
        self._current: _Message | None = None
        self._other_bytes: int | None = None
        self._complete: list[_Message] = []
        self._waiting_since = 0.0
        # When the message in progress began; None between messages. What has come of it.
        self._begun: float | None = None
        self._received_bytes = self._fragments = 0

    @property
    def waiting(self) -> bool:
        """Whether complete messages have no response yet."""
        return bool(self._complete)

    @property
    def in_data_set(self) -> bool:
        """Whether a C-STORE's data set has begun and not ended."""
        return self._current is not None

    def read(self, length: int, deadline: float) -> None:
        """Read the `length` bytes of one PDU's body. Raises OSError, ProtocolError."""
        largest = self._connection.deadlines.largest_streamed_pdu_bytes
        if largest and length > largest:
            raise ProtocolError("a PDU is longer than was negotiated")
        if self._complete and time.monotonic() - self._waiting_since > LONGEST_WAIT_SECONDS:
            # The data set in progress may come without a gap for minutes.
            self.settle()
        left = length
        while left:
            item_length, context_id, control = self._item_header(deadline)
            left -= 4 + item_length
            if item_length < 2 or left < 0:
                raise ProtocolError("a PDV does not fit its PDU")
            self._keep_pace(item_length - 2)
            if control & _COMMAND:
                self._read_command(item_length - 2, context_id, control, deadline)
            elif self._current is not None:
                self._read_data_set(item_length - 2, context_id, control, deadline)
            else:
                self._pass_data_set(item_length - 2, context_id, control, deadline)
            alone = length == item_length + 4 >= self.long_pdu_bytes
            if alone and not control and self._current is not None:
                self._read_alike(length, context_id, self._current.sink)

    def settle(self) -> None:
        """Make what is complete durable and answer it."""
        messages, self._complete = self._complete, []
        if not messages:
            return
        with self._connection.settling():
            answers = self._service.settle([message.sink for message in messages])
        for answer in answers:
            self.answered[answer.status] += 1
        responses = [
            p_data(
                message.context_id, store_response(message.request, answer.status, answer.comment)
            )
            for message, answer in zip(messages, answers, strict=True)
        ]
        self._connection.send(b"".join(responses))

    def abandon(self) -> None:
        """Forget the message in progress; what is complete is kept, its sender may have gone."""
        if self._current is not None:
            self._current.sink.discard()
            self._current = None
        self.settle()

    def _read_alike(self, length: int, context_id: int, sink: DataSetSink) -> None:
        """Read the PDUs that are here and have the very header of the last one.

        They are most of a large data set. Read one by one, between two copies that push the
        interpreter out of the processor's cache, they cost as much again as the copies.
        """
        connection = self._connection
        header = _PDU_HEADER.pack(0x04, 0, length) + _ITEM_HEADER.pack(length - 4, context_id, 0)
        payload_bytes = length - _ITEM_HEADER.size
        fragments = connection.buffer.take_alike(header, payload_bytes)
        if not fragments:
            return
        self._keep_pace(len(fragments) * payload_bytes, len(fragments))
        with connection.working():
            for fragment in fragments:
                sink.write(fragment)

    def _keep_pace(self, payload_bytes: int, fragments: int = 1) -> None:
        now = time.monotonic()
        if self._begun is None:
            self._begun, self._received_bytes, self._fragments = now, 0, 0
        self._received_bytes += payload_bytes
        self._fragments += fragments
        if self._received_bytes < (self._fragments - FEW_FRAGMENTS) * LOWEST_BYTES_PER_FRAGMENT:
            raise ProtocolError("the fragments carry next to nothing")
        late_seconds = now - self._begun - 2 * self._connection.deadlines.pdu_seconds
        if self._received_bytes < late_seconds * LOWEST_BYTES_PER_SECOND:
            raise ProtocolError("the peer sends too slowly")

    def _item_header(self, deadline: float) -> tuple[int, int, int]:
        self._need(_ITEM_HEADER.size, deadline)
        item_length, context_id, control = _ITEM_HEADER.unpack(
            self._connection.buffer.take(_ITEM_HEADER.size)
        )
        return item_length, context_id, control

    def _read_command(self, length: int, context_id: int, control: int, deadline: float) -> None:
        if self._current is not None or self._other_bytes is not None:
            raise ProtocolError("a command began before the data set of the last one had ended")
        if len(self._command) + length > LARGEST_COMMAND_BYTES:
            raise ProtocolError("the command set is too long")
        self._need(length, deadline)
        self._command += self._connection.buffer.take(length)
        if not control & _LAST:
            return
        encoded, self._command = bytes(self._command), bytearray()
        try:
            found = elements(encoded)
            request = store_request(found)
            followed = has_data_set(found)
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        if request is None:
            self._other_bytes = 0 if followed else None
            self._begun = self._begun if followed else None
            self._hand_over(p_data(context_id, encoded))
            return
        self._begin(request, context_id)

    def _begin(self, request: StoreRequest, context_id: int) -> None:
        context = self._association._accepted_cx.get(context_id)
        if context is None:
            raise ProtocolError("the presentation context was not accepted")
        sink = self._service.open(request, context, self._association)
        self._current = _Message(request, context_id, sink)
        if not request.has_data_set:
            self._end()

    def _read_data_set(self, length: int, context_id: int, control: int, deadline: float) -> None:
        message = self._current
        assert message is not None
        if context_id != message.context_id:
            raise ProtocolError("a fragment of another presentation context")
        connection, write = self._connection, message.sink.write
        while length:
            self._need(1, deadline)
            fragment = connection.buffer.take(length)
            with connection.working():
                write(fragment)
            length -= len(fragment)
        if control & _LAST:
            self._end()

    def _end(self) -> None:
        assert self._current is not None
        if not self._complete:
            self._waiting_since = time.monotonic()
        self._complete.append(self._current)
        self._current = self._begun = None
        waited = time.monotonic() - self._waiting_since
        if len(self._complete) >= self.window or waited > LONGEST_WAIT_SECONDS:
            self.settle()

    def _pass_data_set(self, length: int, context_id: int, control: int, deadline: float) -> None:
        if self._other_bytes is None:
            raise ProtocolError("a data set without a command")
        self._other_bytes += length
        if self._other_bytes > LARGEST_OTHER_MESSAGE_BYTES:
            raise ProtocolError("the data set of this message is too long")
        fragment = bytearray()
        while len(fragment) < length:
            self._need(1, deadline)
            fragment += self._connection.buffer.take(length - len(fragment))
        if control & _LAST:
            self._other_bytes = self._begun = None
        item = _ITEM_HEADER.pack(length + 2, context_id, control)
        self._hand_over(_PDU_HEADER.pack(0x04, 0, len(item) + length) + item + fragment)

    def _need(self, count: int, deadline: float) -> None:
        connection = self._connection
        if len(connection.buffer) < count and not connection.need(count, deadline):
            raise ConnectionResetError("the peer closed in the middle of a PDU")
