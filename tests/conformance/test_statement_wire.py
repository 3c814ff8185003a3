"""Lines of the conformance statement on associations that no other test proves, on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)
from pynetdicom import AE
from pynetdicom.pdu_primitives import (
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from tests.datasets import mammogram
from tests.peers.raw import (
    ABORT,
    C_STORE_RQ,
    MAMMOGRAPHY,
    P_DATA,
    STUDY_ROOT_FIND,
    VERIFICATION,
    RawPeer,
    associate_rq,
    command,
    pdu,
    pdv,
)
from tests.peers.receiver import RunningReceiver, running_receiver
from tests.peers.wire import encoded, store_raw

NOT_OFFERED = {
    "Patient Root FIND": "1.2.840.10008.5.1.4.1.2.1.1",
    "Patient Root MOVE": "1.2.840.10008.5.1.4.1.2.1.2",
    "Patient Root GET": "1.2.840.10008.5.1.4.1.2.1.3",
    "Modality Worklist": "1.2.840.10008.5.1.4.31",
    "MPPS": "1.2.840.10008.3.1.2.3.3",
    "printing": "1.2.840.10008.5.1.1.9",
}
MAX_PDU_BYTES = 65536


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    folder: Path = tmp_path_factory.mktemp("statement")
    with running_receiver(folder, dicom_max_pdu_bytes=MAX_PDU_BYTES) as running:
        yield running


@pytest.mark.parametrize(
    "syntaxes",
    [
        [ImplicitVRLittleEndian, ExplicitVRLittleEndian],
        [ExplicitVRLittleEndian, ImplicitVRLittleEndian],
        [JPEG2000Lossless, ExplicitVRBigEndian],
        ["1.2.3.4.5", DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian],
    ],
)
def test_the_first_supported_syntax_is_accepted(
    receiver: RunningReceiver, syntaxes: list[str]
) -> None:
    """Of one presentation context, in the requestor's order; an unknown one is passed over."""
    entity = AE()
    entity.add_requested_context(MAMMOGRAPHY, syntaxes)
    association = entity.associate("127.0.0.1", receiver.port)
    (context,) = association.accepted_contexts
    association.release()
    assert context.transfer_syntax[0] == next(each for each in syntaxes if each != "1.2.3.4.5")


def test_what_is_not_offered_is_rejected(receiver: RunningReceiver) -> None:
    """Abstract syntax not supported, while Verification beside them is accepted."""
    entity = AE()
    for uid in (*NOT_OFFERED.values(), VERIFICATION):
        entity.add_requested_context(uid)
    association = entity.associate("127.0.0.1", receiver.port)
    accepted = {str(each.abstract_syntax) for each in association.accepted_contexts}
    rejected = {str(each.abstract_syntax): each.result for each in association.rejected_contexts}
    association.release()
    assert accepted == {VERIFICATION}
    # PS3.8 table 9-18: 3, abstract syntax not supported.
    assert rejected == dict.fromkeys(NOT_OFFERED.values(), 3)


def test_negotiations_that_are_not_used_do_no_harm(receiver: RunningReceiver) -> None:
    """User identity and SOP class extended negotiation: the association is accepted."""
    identity = UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.primary_field, identity.secondary_field = b"someone", b"secret"
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid = STUDY_ROOT_FIND
    extended.service_class_application_information = b"\x01\x01"
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid = MAMMOGRAPHY
    common.service_class_uid = "1.2.840.10008.4.2"
    entity = AE()
    entity.add_requested_context(VERIFICATION)
    negotiation = [identity, extended, common]
    association = entity.associate("127.0.0.1", receiver.port, ext_neg=negotiation)
    assert association.is_established
    assert association.send_c_echo().Status == 0x0000
    association.release()


def test_the_longest_pdu_is_told_and_held(receiver: RunningReceiver) -> None:
    """Offered as configured; one byte more in a P-DATA-TF ends the association."""
    entity = AE()
    entity.add_requested_context(VERIFICATION)
    association = entity.associate("127.0.0.1", receiver.port)
    assert association.acceptor.maximum_length == MAX_PDU_BYTES
    association.release()
    with RawPeer(receiver.port) as peer:
        peer.associate(MAMMOGRAPHY)
        fragment = bytes(MAX_PDU_BYTES - 6)
        peer.send(pdu(P_DATA, pdv(1, 0, fragment + b"\0")))
        assert peer.receive()[0] == ABORT


def test_a_huge_association_request_is_refused(receiver: RunningReceiver) -> None:
    """Over 256 KiB it ends at its header; at 256 KiB the rest is waited for."""
    request = associate_rq()
    with RawPeer(receiver.port) as peer:
        peer.send(pdu(request[0], request[6:], length=(256 << 10) + 1))
        with pytest.raises(ConnectionError):
            peer.receive()
    with RawPeer(receiver.port) as peer:
        peer.send(pdu(request[0], request[6:], length=256 << 10))
        peer.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            peer.receive()


def test_another_class_than_the_context_s_is_refused(receiver: RunningReceiver) -> None:
    """0122H, SOP class not supported."""
    image = mammogram()
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    with RawPeer(receiver.port) as peer:
        peer.associate(MAMMOGRAPHY)
        peer.send(_store_request(str(image.SOPClassUID), str(image.SOPInstanceUID)))
        peer.send(pdu(P_DATA, pdv(1, 2, encoded(image))))
        kind, body = peer.receive()
    assert kind == P_DATA
    # (0000,0900) Status, US, in Implicit VR Little Endian.
    at = body.index(b"\0\0\0\x09\x02\0\0\0")
    assert int.from_bytes(body[at + 8 : at + 10], "little") == 0x0122


def _store_request(sop_class_uid: str, sop_instance_uid: str) -> bytes:
    request = command(C_STORE_RQ, sop_class_uid, instance=sop_instance_uid)
    return pdu(P_DATA, pdv(1, 3, request))


def test_what_a_data_set_lacks_and_what_it_claims_are_told_apart(receiver: RunningReceiver) -> None:
    """A data set without its SOP Instance UID: 0xC000, told apart from a mismatch, 0xA900."""
    image = mammogram()
    content = encoded(image)
    assert store_raw(receiver.port, MAMMOGRAPHY, str(generate_uid()), content) == 0xA900
    del image.SOPInstanceUID
    assert store_raw(receiver.port, MAMMOGRAPHY, str(generate_uid()), encoded(image)) == 0xC000
