"""What `node.upper_layer` relies on in pynetdicom; a release that changes it fails here first."""

from __future__ import annotations

import inspect
import queue
import socket
import threading
from io import BytesIO

import pytest
from pynetdicom import AE, _config, evt
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context, negotiate_as_acceptor
from pynetdicom.transport import AssociationServer, AssociationSocket, RequestHandler

from node.upper_layer.command_set import elements, p_data, store_request, store_response


def source(member: object) -> str:
    """The text of a function of pynetdicom."""
    return inspect.getsource(member)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("member", "needed"),
    [
        # The DUL's loop: our `_is_transport_event` blocks in it, and its own pause is set to 0.
        (DULServiceProvider.run_reactor, "time.sleep(self._run_loop_delay)"),
        (DULServiceProvider.run_reactor, "self._process_recv_primitive()"),
        (DULServiceProvider.run_reactor, "self._is_transport_event()"),
        (DULServiceProvider.run_reactor, "self.event_queue.get(block=False)"),
        (DULServiceProvider.run_reactor, "self._idle_timer.restart()"),
        # What is sent goes through `send_pdu`, which wakes the loop.
        (DULServiceProvider.send_pdu, "self.to_provider_queue.put(primitive)"),
        (DIMSEServiceProvider.send_msg, "self.dul.send_pdu(pdata)"),
        # Reading a PDU that is not ours: header, then body, through the socket's `recv`.
        (DULServiceProvider._read_pdu_data, "self.socket.recv(6)"),
        (DULServiceProvider._read_pdu_data, "self.socket.recv(pdu_length)"),
        (DULServiceProvider._read_pdu_data, "self._decode_pdu(bytestream)"),
        (DULServiceProvider._read_pdu_data, "self._recv_pdu.put(pdu)"),
        # The association's loop passes its checkpoint once per turn, and looks at these two.
        (Association._run_reactor, "self._reactor_checkpoint.wait()"),
        (Association._run_reactor, "self._is_paused = True"),
        (Association.send_c_store, "self._reactor_checkpoint.clear()"),
        (Association.send_c_store, "while not self._is_paused"),
        (Association._run_reactor, "self.dimse.get_msg(block=False)"),
        (Association._run_reactor, "self.acse.is_release_requested()"),
        (Association._run_reactor, "self.dul.idle_timer_expired()"),
        (ACSE._negotiate_as_acceptor, "self._check_async_ops()"),
        (ACSE._negotiate_as_acceptor, "self.assoc.ae.active_associations"),
        (RequestHandler.handle, "self._create_association()"),
        (AssociationServer.get_request, "self.socket.accept()"),
        (AssociationSocket.__init__, 'self.event_queue.put("Evt5")'),
    ],
)
def test_calls_that_are_relied_on(member: object, needed: str) -> None:
    """The order of the two loops and the hooks in them are as they were read."""
    assert needed in source(member)


def test_attributes_that_are_relied_on() -> None:
    """Private attributes that the subclasses use exist, and are of the kind they were."""
    association = Association(AE(), "acceptor")
    assert isinstance(association.dul.event_queue, queue.Queue)
    assert isinstance(association.dul.to_user_queue, queue.Queue)
    assert isinstance(association.dul.to_provider_queue, queue.Queue)
    assert isinstance(association.dul._recv_pdu, queue.Queue)
    assert isinstance(association.dimse.msg_queue, queue.Queue)
    assert isinstance(association._reactor_checkpoint, threading.Event)
    assert association._kill is association.dul._kill_thread is False
    assert association._accepted_cx == {}
    assert association.dul.state_machine.current_state == "Sta1"
    one, other = socket.socketpair()
    with one, other:
        wrapped = AssociationSocket(association, client_socket=one)
        assert wrapped._is_connected
        assert association.dul.event_queue.get(block=False) == "Evt5"


def test_states_that_are_relied_on() -> None:
    """Data is transferred in Sta6 and nowhere sooner (PS3.8 table 9-10)."""
    assert TRANSITION_TABLE[("Evt10", "Sta6")] == "DT-2"
    assert TRANSITION_TABLE[("Evt17", "Sta6")] == "AA-4"
    assert TRANSITION_TABLE[("Evt19", "Sta6")] == "AA-8"
    assert TRANSITION_TABLE[("Evt7", "Sta3")] == "AE-7"


def test_negotiation_leaves_supported_contexts_alone() -> None:
    """They are shared by all associations instead of copied for each."""
    supported = [build_context("1.2.840.10008.5.1.4.1.1.7", ["1.2.840.10008.1.2.1"])]
    asked = build_context("1.2.840.10008.5.1.4.1.1.7", ["1.2.840.10008.1.2.1"])
    asked.context_id = 1
    before = repr(vars(supported[0]))
    (accepted,), _ = negotiate_as_acceptor([asked], supported, {})
    assert accepted.result == 0x00
    assert accepted is not supported[0]
    assert repr(vars(supported[0])) == before


def _request() -> C_STORE:
    request = C_STORE()
    request.MessageID = 7
    request.Priority = 2
    request.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    request.AffectedSOPInstanceUID = "1.2.3"
    request.MoveOriginatorApplicationEntityTitle = "ARCHIVE"
    request.MoveOriginatorMessageID = 3
    request.DataSet = BytesIO(b"\0\0")
    return request


def test_our_reader_and_pynetdicom_agree_on_a_request() -> None:
    """What pynetdicom encodes is read back the same."""
    message = C_STORE_RQ()
    message.primitive_to_message(_request())
    first = next(iter(message.encode_msg(1, 16384)))
    _, fragment = first.presentation_data_value_list[0]
    request = store_request(elements(fragment[1:]))
    assert request is not None
    assert request.message_id == 7
    assert request.AffectedSOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert request.AffectedSOPInstanceUID == "1.2.3"
    assert request.MoveOriginatorApplicationEntityTitle == "ARCHIVE"
    assert request.has_data_set


@pytest.mark.parametrize(
    ("status", "comment"), [(0x0000, ""), (0xA700, "disk: send it again later"), (0xB000, "odd")]
)
def test_pynetdicom_reads_our_response(status: int, comment: str) -> None:
    """What we encode, pynetdicom decodes to the same response."""
    message = C_STORE_RQ()
    message.primitive_to_message(_request())
    first = next(iter(message.encode_msg(1, 16384)))
    request = store_request(elements(first.presentation_data_value_list[0][1][1:]))
    assert request is not None
    pdu = P_DATA_TF()
    pdu.decode(p_data(1, store_response(request, status, comment)))
    response = C_STORE_RSP()
    assert response.decode_msg(pdu.to_primitive())
    primitive = response.message_to_primitive()
    assert primitive.is_valid_response
    assert primitive.Status == status
    assert (primitive.ErrorComment or "") == comment
    assert primitive.MessageIDBeingRespondedTo == 7
    assert primitive.AffectedSOPInstanceUID == "1.2.3"


def test_identifiers_are_logged_unless_told_otherwise() -> None:
    """The switch that `configure_logs` turns off is still the one there is."""
    assert hasattr(_config, "LOG_REQUEST_IDENTIFIERS")
    assert hasattr(_config, "LOG_RESPONSE_IDENTIFIERS")
    assert evt.EVT_C_FIND.is_intervention
