"""A sender that says what no good sender would: forged claims, raw bytes, half an object."""

from __future__ import annotations

import socket
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF


def associate(port: int, sop_class_uid: str, ae_title: str = "MODALITY") -> Association:
    """An association with one context in Explicit VR Little Endian."""
    entity = AE(ae_title=ae_title)
    entity.add_requested_context(sop_class_uid, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port)
    assert association.is_established
    return association


def encoded(dataset: Dataset) -> bytes:
    """The data set in Explicit VR Little Endian, without file meta information."""
    content = encode(dataset, is_implicit_vr=False, is_little_endian=True)
    assert content is not None
    return content


def store_raw(port: int, sop_class_uid: str, sop_instance_uid: str, content: bytes) -> int:
    """Send these bytes under these claims and return the status."""
    association = associate(port, sop_class_uid)
    # The reactor would read the response as a request of its own.
    association._reactor_checkpoint.clear()
    context_id = association.accepted_contexts[0].context_id
    association.dimse.send_msg(_request(sop_class_uid, sop_instance_uid, content), context_id)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    return int(response.Status)


def send_half_and_vanish(port: int, dataset: Dataset) -> None:
    """Send the first half of an object, then cut the connection."""
    association = associate(port, dataset.SOPClassUID)
    message = C_STORE_RQ()
    message.primitive_to_message(
        _request(dataset.SOPClassUID, dataset.SOPInstanceUID, encoded(dataset))
    )
    context_id = association.accepted_contexts[0].context_id
    primitives = list(message.encode_msg(context_id, 16384))
    raw = association.dul.socket.socket
    for primitive in primitives[: len(primitives) // 2]:
        pdu = P_DATA_TF()
        pdu.from_primitive(primitive)
        raw.sendall(pdu.encode())
    raw.shutdown(socket.SHUT_RDWR)
    raw.close()


def _request(sop_class_uid: str, sop_instance_uid: str, content: bytes) -> C_STORE:
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = sop_class_uid
    request.AffectedSOPInstanceUID = sop_instance_uid
    request.DataSet = BytesIO(content)
    return request
