"""PDUs (PS3.8 9.3) of C-STORE requests, encoded once and addressed anew for each object.

In: a template of `objects`. Out: for one association a head (the command set and the first PDU of
the data set, where all UIDs stand) and a body that all objects and associations share. What must
hold: no PDU is longer than the receiver allows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)

from benchmarks.objects import UID_BYTES, Template, Uids

CONTEXT_ID = 1
ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP = 2, 3, 4, 5, 6
PDU_HEADER = struct.Struct(">BxL")  # type; length of what follows
PDV_HEADER = struct.Struct(">LBB")  # length of what follows; context; message control header
ELEMENT_HEADER = struct.Struct("<HHL")  # group; element; length
COMMAND, LAST = 0x01, 0x02  # bits of the message control header (PS3.8 E.2)
# DCMTK, and so many a modality, sends no longer PDU than this whatever the receiver allows.
LONGEST_PDU_BYTES = 131072
RELEASE_REQUEST = PDU_HEADER.pack(RELEASE_RQ, 4) + bytes(4)
RELEASE_RESPONSE = PDU_HEADER.pack(RELEASE_RP, 4) + bytes(4)

MESSAGE_ID, RESPONDED_TO, STATUS = 0x0110, 0x0120, 0x0900  # elements of group 0000 (PS3.7 E.1)
_SOP_INSTANCE_UID = 0x1000
_C_STORE_RQ, _MEDIUM_PRIORITY, _DATA_SET_FOLLOWS = 0x0001, 0x0000, 0x0001


def associate_request(sop_class_uid: str, calling_ae_title: str, called_ae_title: str) -> bytes:
    """A-ASSOCIATE-RQ with one context, Explicit VR Little Endian."""
    entity = AE(ae_title=calling_ae_title)
    entity.add_requested_context(sop_class_uid, ExplicitVRLittleEndian)
    (context,) = entity.requested_contexts
    context.context_id = CONTEXT_ID
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = LONGEST_PDU_BYTES
    implementation.implementation_class_uid = entity.implementation_class_uid
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling_ae_title, called_ae_title
    primitive.user_information = [length, implementation]
    primitive.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


@dataclass(slots=True)
class Request:
    """One association's C-STORE request. Offsets are bytes from the start of `head`."""

    head: bytearray
    body: memoryview
    message_id_at: int
    instance_at: tuple[int, ...]
    study_at: int
    series_at: int

    def address(self, message_id: int, uids: Uids) -> None:
        """Write the message ID and the UIDs of the next object into the head."""
        struct.pack_into("<H", self.head, self.message_id_at, message_id)
        for at in self.instance_at:
            self.head[at : at + UID_BYTES] = uids.instance
        self.head[self.study_at : self.study_at + UID_BYTES] = uids.study
        self.head[self.series_at : self.series_at + UID_BYTES] = uids.series


class Encoder:
    """Makes the requests of one template; the body is encoded once per PDU length."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._bodies: dict[int, memoryview] = {}

    def request(self, max_pdu_bytes: int) -> Request:
        """A request for a receiver that takes PDUs of this length; 0 is unlimited."""
        template = self._template
        longest = min(max_pdu_bytes or LONGEST_PDU_BYTES, LONGEST_PDU_BYTES) - PDV_HEADER.size
        command = command_set(template.size.sop_class_uid, 0, bytes(UID_BYTES))
        first = p_data(COMMAND | LAST, command)
        command_at, data_at = len(first) - len(command), len(first) + len(p_data(0, b""))
        instance_at = command_at + value_at(command, _SOP_INSTANCE_UID)
        return Request(
            head=bytearray(first + self._data(0, longest)),
            body=self._body(longest),
            message_id_at=command_at + value_at(command, MESSAGE_ID),
            instance_at=(instance_at, data_at + template.instance_at),
            study_at=data_at + template.study_at,
            series_at=data_at + template.series_at,
        )

    def _body(self, longest: int) -> memoryview:
        if longest not in self._bodies:
            starts = range(longest, len(self._template.content), longest)
            body = b"".join(self._data(start, longest) for start in starts)
            self._bodies[longest] = memoryview(body)
        return self._bodies[longest]

    def _data(self, start: int, longest: int) -> bytes:
        content = self._template.content
        last = start + longest >= len(content)
        return p_data(LAST if last else 0, content[start : start + longest])


def p_data(control: int, fragment: bytes) -> bytes:
    """P-DATA-TF with one presentation data value."""
    value = PDV_HEADER.pack(len(fragment) + 2, CONTEXT_ID, control) + fragment
    return PDU_HEADER.pack(P_DATA, len(value)) + value


def command_set(sop_class_uid: str, message_id: int, sop_instance_uid: bytes) -> bytes:
    """C-STORE-RQ (PS3.7 table 9.3-1) in Implicit VR Little Endian."""
    class_uid = sop_class_uid.encode()
    elements = b"".join(
        (
            element(0x0002, class_uid + bytes(len(class_uid) % 2)),
            element(0x0100, struct.pack("<H", _C_STORE_RQ)),
            element(MESSAGE_ID, struct.pack("<H", message_id)),
            element(0x0700, struct.pack("<H", _MEDIUM_PRIORITY)),
            element(0x0800, struct.pack("<H", _DATA_SET_FOLLOWS)),
            element(_SOP_INSTANCE_UID, sop_instance_uid),
        )
    )
    return element(0x0000, struct.pack("<L", len(elements))) + elements


def element(number: int, value: bytes) -> bytes:
    """One element of group 0000."""
    return ELEMENT_HEADER.pack(0x0000, number, len(value)) + value


def value_at(command: bytes, number: int) -> int:
    """Where the value of an element of a command set begins. Raises KeyError."""
    at = 0
    while at < len(command):
        _, found, length = ELEMENT_HEADER.unpack_from(command, at)
        at += ELEMENT_HEADER.size
        if found == number:
            return at
        at += length
    raise KeyError(number)
