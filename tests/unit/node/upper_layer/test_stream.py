"""When responses go out: what the window holds back does not wait for long."""

from __future__ import annotations

import time
from random import Random
from types import SimpleNamespace
from typing import Any

from node.upper_layer import stream
from node.upper_layer.stream import StoreStream
from tests.fuzz import layers
from tests.peers.raw import C_STORE_RQ, MAMMOGRAPHY, P_DATA, command, pdu, pdv


def request(message_id: int) -> bytes:
    """The P-DATA of a C-STORE-RQ."""
    return pdu(P_DATA, pdv(1, 3, command(C_STORE_RQ, MAMMOGRAPHY, message_id, "1.2.3")))


def test_a_long_data_set_holds_up_no_response() -> None:
    """One that comes without a gap for minutes follows a small one in the same window."""
    small = request(1) + pdu(P_DATA, pdv(1, 2, b"small"))
    begun = request(2) + pdu(P_DATA, pdv(1, 0, b"long")) * 2
    connection, service = layers.offline(small + begun, Random(1)), layers.Service()
    association: Any = SimpleNamespace(_accepted_cx={1: object()})
    reader = StoreStream(association, connection, service, lambda _encoded: None)
    reader.window = 4
    deadline = time.monotonic() + 30

    def read(count: int) -> None:
        for _ in range(count):
            assert connection.need(6, deadline)
            reader.read(int.from_bytes(connection.buffer.take(6)[2:], "big"), deadline)

    read(4)
    assert [sink.ended for sink in service.opened] == [False, False]
    time.sleep(stream.LONGEST_WAIT_SECONDS)
    read(1)
    assert [sink.ended for sink in service.opened] == [True, False]
    reader.abandon()
