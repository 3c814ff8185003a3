"""Requests on the wire: read back by pynetdicom's own decoders."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF

from benchmarks.objects import SIZES, UID_BYTES, Template, Uids, template, uids
from benchmarks.wire import LONGEST_PDU_BYTES, PDU_HEADER, Encoder, Request, associate_request


@pytest.fixture(scope="module")
def content() -> Template:
    """A template of half a megabyte: several PDUs at every length."""
    return template(SIZES["0.5MB"])


def decoded(request: Request) -> tuple[C_STORE, bytes, list[int]]:
    """The primitive and encoded data set that pynetdicom makes of it, and the PDU lengths."""
    stream, message, lengths = bytes(request.head) + bytes(request.body), C_STORE_RQ(), []
    at = 0
    while at < len(stream):
        end = at + PDU_HEADER.size + PDU_HEADER.unpack_from(stream, at)[1]
        pdu = P_DATA_TF()
        pdu.decode(stream[at:end])
        message.decode_msg(pdu.to_primitive())
        lengths.append(end - at - PDU_HEADER.size)
        at = end
    primitive = message.message_to_primitive()
    assert isinstance(primitive, C_STORE)
    assert primitive.DataSet is not None
    return primitive, primitive.DataSet.getvalue(), lengths


@pytest.mark.parametrize("max_pdu_bytes", [4096, 16384, 131072, 0])
def test_request_is_what_pynetdicom_reads(content: Template, max_pdu_bytes: int) -> None:
    """A request at each PDU length says the UIDs it was addressed with, in both places."""
    request = Encoder(content).request(max_pdu_bytes)
    names = uids(17, 3, 250, 100)
    request.address(77, names)
    primitive, sent, lengths = decoded(request)
    assert primitive.MessageID == 77
    assert primitive.AffectedSOPClassUID == SIZES["0.5MB"].sop_class_uid
    assert primitive.AffectedSOPInstanceUID == names.instance.decode()
    assert decode(BytesIO(sent), False, True).SOPInstanceUID == names.instance.decode()
    assert max(lengths) <= (max_pdu_bytes or LONGEST_PDU_BYTES)


def test_data_set_carries_the_uids(content: Template) -> None:
    """After addressing, the data set differs from the template in its three UIDs alone."""
    request = Encoder(content).request(0)
    names = uids(17, 3, 250, 100)
    request.address(1, names)
    _, sent, _ = decoded(request)
    expected = bytearray(content.content)
    for at, uid in (
        (content.study_at, names.study),
        (content.series_at, names.series),
        (content.instance_at, names.instance),
    ):
        expected[at : at + UID_BYTES] = uid
    assert sent == bytes(expected)


def test_associations_share_one_body(content: Template) -> None:
    """Sixteen associations need one copy of the pixels."""
    encoder = Encoder(content)
    bodies = {id(encoder.request(16384).body.obj) for _ in range(16)}
    assert len(bodies) == 1


def test_association_request_is_what_pynetdicom_reads() -> None:
    """One context, Explicit VR Little Endian, both AE titles."""
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(associate_request("1.2.840.10008.5.1.4.1.1.2", "BENCHMARK", "SENTINODE"))
    (context,) = pdu.presentation_context
    assert context.transfer_syntax == [ExplicitVRLittleEndian]
    assert (pdu.calling_ae_title, pdu.called_ae_title) == ("BENCHMARK", "SENTINODE")


def test_uids_are_new_for_every_object_and_valid() -> None:
    """No two objects share an instance UID; images of a study share study and series."""
    names: list[Uids] = [
        uids(run, association, number, 4)
        for run in (1, 999_999_999_999)
        for association in (0, 15)
        for number in range(10)
    ]
    assert len({each.instance for each in names}) == len(names)
    assert len({each.study for each in names}) == 2 * 2 * 3
    for each in names:
        for uid in (each.study, each.series, each.instance):
            assert len(uid) == UID_BYTES
            assert all(part == b"0" or not part.startswith(b"0") for part in uid.split(b"."))


@pytest.mark.parametrize(("name", "bytes_about"), [("27MB", 27.3e6), ("0.5MB", 5.25e5)])
def test_sizes_are_what_they_are_called(name: str, bytes_about: float) -> None:
    """The encoded data sets have the size that the table says."""
    assert len(template(SIZES[name]).content) == pytest.approx(bytes_about, rel=0.01)
    assert len(template(SIZES["10kB"]).content) == pytest.approx(1e4, rel=0.05)
