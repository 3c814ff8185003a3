"""The N-ACTION of Storage Commitment as it was sent: valid, or refused with a status that says why.

In: the event of one N-ACTION request. Out: what is asked, or the refusal (PS3.4 table J.3-1, PS3.7
10.1.4.1.10). What must hold: nothing that is kept is longer than its column, whatever was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt

from node.commitment.event_report import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
from node.identifiers import is_uid
from node.store.commitments import Asked, Reference

# PS3.4 J.3.2: the only action.
_REQUEST_STORAGE_COMMITMENT = 1
# PS3.7 annex C
_NO_SUCH_SOP_INSTANCE = 0x0112
_INVALID_ARGUMENT_VALUE = 0x0115
_NO_SUCH_SOP_CLASS = 0x0118
_NO_SUCH_ACTION = 0x0123
_RESOURCE_LIMITATION = 0x0213
# Far above one study; a request is one row, and one message in memory.
MAX_ITEMS = 10_000
# PS3.5 table 6.2-1: LO holds 64 characters.
_MAX_COMMENT_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status of the N-ACTION response and its Error Comment."""

    status: int
    comment: str

    def answer(self) -> Dataset:
        """As pynetdicom's handlers return it."""
        answer = Dataset()
        answer.Status = self.status
        if self.comment:
            answer.ErrorComment = self.comment[:_MAX_COMMENT_LENGTH]
        return answer


def read_request(event: evt.Event) -> Asked | Refusal:
    """What a request asks for."""
    request: Any = event.request
    refusal = _wrong_target(
        str(request.RequestedSOPClassUID or ""),
        str(request.RequestedSOPInstanceUID or ""),
        int(request.ActionTypeID or 0),
    )
    if refusal is not None:
        return refusal
    try:
        return asked(event.action_information)
    except Exception:  # noqa: BLE001  # pydicom raises many kinds on bytes that are no data set
        return Refusal(_INVALID_ARGUMENT_VALUE, "Action Information cannot be decoded")


def asked(information: Dataset) -> Asked | Refusal:
    """What the Action Information asks for; an item that comes twice counts once."""
    transaction_uid = str(information.get("TransactionUID") or "")
    if not is_uid(transaction_uid):
        return Refusal(_INVALID_ARGUMENT_VALUE, "Transaction UID is missing or not a UID")
    sequence = information.get("ReferencedSOPSequence") or []
    if not sequence:
        return Refusal(_INVALID_ARGUMENT_VALUE, "Referenced SOP Sequence is missing or empty")
    if len(sequence) > MAX_ITEMS:
        return Refusal(_RESOURCE_LIMITATION, f"more than {MAX_ITEMS} references; ask in parts")
    items = [
        Reference(
            str(item.get("ReferencedSOPClassUID") or ""),
            str(item.get("ReferencedSOPInstanceUID") or ""),
        )
        for item in sequence
    ]
    for number, item in enumerate(items, 1):
        if not is_uid(item.ReferencedSOPClassUID) or not is_uid(item.ReferencedSOPInstanceUID):
            comment = f"item {number} lacks a valid SOP class or instance UID"
            return Refusal(_INVALID_ARGUMENT_VALUE, comment)
    return Asked(transaction_uid, tuple(dict.fromkeys(items)))


def _wrong_target(sop_class_uid: str, sop_instance_uid: str, action: int) -> Refusal | None:
    if sop_class_uid != STORAGE_COMMITMENT:
        return Refusal(_NO_SUCH_SOP_CLASS, "only the Storage Commitment Push Model has actions")
    if sop_instance_uid != WELL_KNOWN_INSTANCE:
        return Refusal(_NO_SUCH_SOP_INSTANCE, f"the SOP instance is {WELL_KNOWN_INSTANCE}")
    if action != _REQUEST_STORAGE_COMMITMENT:
        return Refusal(_NO_SUCH_ACTION, "the only action is 1, request storage commitment")
    return None
