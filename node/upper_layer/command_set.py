"""The command set of C-STORE (PS3.7 9.3.1), always Implicit VR Little Endian (PS3.7 6.3.1).

pynetdicom decodes it into a Dataset and then into a primitive, which for small objects costs more
than the object itself. Anything but a plain C-STORE-RQ is left to pynetdicom.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# PS3.7 E.1: elements of group 0000.
_AFFECTED_SOP_CLASS_UID = 0x0002
_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
_COMMAND_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_ERROR_COMMENT = 0x0902
_AFFECTED_SOP_INSTANCE_UID = 0x1000
_MOVE_ORIGINATOR_AE_TITLE = 0x1030

_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
_NO_DATA_SET = 0x0101
_ELEMENT = struct.Struct("<HHI")
# PS3.5 table 6.2-1: LO holds 64 characters.
MAX_COMMENT_LENGTH = 64


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What a C-STORE-RQ says."""

    message_id: int
    AffectedSOPClassUID: str
    AffectedSOPInstanceUID: str
    MoveOriginatorApplicationEntityTitle: str
    has_data_set: bool


def elements(encoded: bytes) -> dict[int, bytes]:
    """Values of group 0000 by element number. Raises ValueError when it is not a command set."""
    found: dict[int, bytes] = {}
    position, end = 0, len(encoded)
    while position < end:
        if end - position < _ELEMENT.size:
            raise ValueError("a command element is cut off")
        group, number, length = _ELEMENT.unpack_from(encoded, position)
        position += _ELEMENT.size
        if group != 0x0000 or length > end - position:
            raise ValueError("not a command set")
        found[number] = encoded[position : position + length]
        position += length
    return found


def has_data_set(found: dict[int, bytes]) -> bool:
    """Whether data set fragments follow the command (PS3.7 E.1, Command Data Set Type)."""
    return _unsigned(found, _COMMAND_DATA_SET_TYPE) != _NO_DATA_SET


def store_request(found: dict[int, bytes]) -> StoreRequest | None:
    """The request, or None when the command is another one. Raises ValueError."""
    if _unsigned(found, _COMMAND_FIELD) != _C_STORE_RQ:
        return None
    return StoreRequest(
        message_id=_unsigned(found, _MESSAGE_ID),
        AffectedSOPClassUID=_text(found, _AFFECTED_SOP_CLASS_UID),
        AffectedSOPInstanceUID=_text(found, _AFFECTED_SOP_INSTANCE_UID),
        MoveOriginatorApplicationEntityTitle=_text(found, _MOVE_ORIGINATOR_AE_TITLE),
        has_data_set=has_data_set(found),
    )


def store_response(request: StoreRequest, status: int, comment: str) -> bytes:
    """The encoded C-STORE-RSP (PS3.7 table 9.3-2), its elements in ascending order."""
    body = _element(_AFFECTED_SOP_CLASS_UID, _padded(request.AffectedSOPClassUID, b"\0"))
    body += _IS_STORE_RSP
    body += _element(_MESSAGE_ID_BEING_RESPONDED_TO, _US.pack(request.message_id))
    body += _HAS_NO_DATA_SET
    body += _element(_STATUS, _US.pack(status))
    if comment:
        body += _element(_ERROR_COMMENT, _padded(comment[:MAX_COMMENT_LENGTH], b" "))
    body += _element(_AFFECTED_SOP_INSTANCE_UID, _padded(request.AffectedSOPInstanceUID, b"\0"))
    return _element(0x0000, struct.pack("<I", len(body))) + body


def p_data(context_id: int, command: bytes) -> bytes:
    """A P-DATA-TF PDU with one command fragment, the last (PS3.8 9.3.5, E.2)."""
    item = struct.pack(">IBB", len(command) + 2, context_id, 0x03)
    return struct.pack(">BBI", 0x04, 0x00, len(item) + len(command)) + item + command


def _element(number: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0x0000, number, len(value)) + value


_US = struct.Struct("<H")
_IS_STORE_RSP = _element(_COMMAND_FIELD, _US.pack(_C_STORE_RSP))
_HAS_NO_DATA_SET = _element(_COMMAND_DATA_SET_TYPE, _US.pack(_NO_DATA_SET))


def _unsigned(found: dict[int, bytes], number: int) -> int:
    value = found.get(number, b"")
    if len(value) != 2:
        raise ValueError(f"command element (0000,{number:04X}) is missing or not US")
    return int.from_bytes(value, "little")


def _text(found: dict[int, bytes], number: int) -> str:
    return found.get(number, b"").decode("ascii", errors="replace").strip("\0 ")


def _padded(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", errors="replace")
    return value + padding if len(value) % 2 else value
