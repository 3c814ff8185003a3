"""N-EVENT-REPORT of Storage Commitment (PS3.4 J.3.3), on whichever association there is.

In: what was asked and what failed. Out: the peer's status. pynetdicom's `send_n_event_report` is
not used: it halts the association's loop, takes the next message for the answer, whatever that is,
and aborts the association when none comes. A modality that asks again meanwhile would lose its
request, and one that wants its report on another association would lose this one. Here the
association goes on as it is, and only the answer is listened for.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import P_DATA

from node.store.commitments import Asked, Reference

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
# PS3.4 J.3.5: the one instance, which nobody creates.
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
# PS3.4 table J.3-2
ALL_COMMITTED, FAILURES_EXIST = 1, 2

# Two reports may be under way on one association; PS3.7 9.1.1.1: an unsigned 16-bit number.
_MESSAGE_IDS = itertools.cycle(range(1, 1 << 16))
_LOOK_SECONDS = 0.2  # how soon the end of the association is noticed
_PDV_HEADER_BYTES = 5  # PS3.8 9.3.5.1: item length and context ID


def event_information(asked: Asked, failures: Mapping[Reference, int]) -> tuple[int, Dataset]:
    """Event Type ID and Event Information; `failures` gives a Failure Reason for each reference."""
    information = Dataset()
    information.TransactionUID = asked.TransactionUID
    committed = [item for item in asked.items if item not in failures]
    if committed:
        information.ReferencedSOPSequence = [referenced(item) for item in committed]
    if not failures:
        return ALL_COMMITTED, information
    failed = []
    for item in asked.items:
        if item in failures:
            entry = referenced(item)
            entry.FailureReason = failures[item]
            failed.append(entry)
    information.FailedSOPSequence = failed
    return FAILURES_EXIST, information


def send_report(
    association: Association,
    event_type_id: int,
    information: Dataset,
    seconds: float,
    whole: bool = False,
) -> int | None:
    """Send one report; returns the peer's status, None when none came or nothing was sent.

    whole: send only if the message fits one PDU, between whose parts nothing can be sent.
    """
    context = _context(association)
    if context is None:
        return None
    request = _request(event_type_id, information, context.transfer_syntax[0])
    primitives = _primitives(request, context.context_id, association.dimse.maximum_pdu_size)
    if whole and len(primitives) > 1:
        return None
    statuses: list[int] = []
    answered = threading.Event()

    def note(event: evt.Event) -> None:
        if isinstance(event.message, N_EVENT_REPORT_RSP):
            answer = event.message.command_set
            if answer.MessageIDBeingRespondedTo == request.MessageID:
                statuses.append(int(answer.Status))
                answered.set()

    association.bind(evt.EVT_DIMSE_RECV, note)
    try:
        for primitive in primitives:
            association.dul.send_pdu(primitive)
        wait_while_established(association, seconds, answered)
    finally:
        association.unbind(evt.EVT_DIMSE_RECV, note)
    return statuses[0] if statuses else None


def wait_while_established(
    association: Association, seconds: float, wanted: threading.Event
) -> bool:
    """Wait for `wanted`, no longer than `seconds` or the association; whether it came."""
    deadline = time.monotonic() + seconds
    while association.is_established and (left := deadline - time.monotonic()) > 0:
        if wanted.wait(min(left, _LOOK_SECONDS)):
            return True
    return wanted.is_set()


def referenced(item: Reference) -> Dataset:
    """One item of a Referenced SOP Sequence."""
    entry = Dataset()
    entry.ReferencedSOPClassUID = item.ReferencedSOPClassUID
    entry.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
    return entry


def _context(association: Association) -> Any:
    if not association.is_established:
        return None
    contexts: Iterable[Any] = association.accepted_contexts
    return next((each for each in contexts if each.abstract_syntax == STORAGE_COMMITMENT), None)


def _request(event_type_id: int, information: Dataset, syntax: Any) -> N_EVENT_REPORT:
    encoded = encode(
        information, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated
    )
    assert encoded is not None  # UIDs and numbers only
    request = N_EVENT_REPORT()
    request.MessageID = next(_MESSAGE_IDS)
    request.AffectedSOPClassUID = STORAGE_COMMITMENT
    request.AffectedSOPInstanceUID = WELL_KNOWN_INSTANCE
    request.EventTypeID = event_type_id
    request.EventInformation = BytesIO(encoded)
    return request


def _primitives(request: N_EVENT_REPORT, context_id: int, maximum_bytes: int) -> list[P_DATA]:
    """The message as one P-DATA where the peer's PDU size allows.

    No fragment of another message may come between the fragments of one (PS3.8 E.1), and C-STORE
    responses leave from another thread.
    """
    message = N_EVENT_REPORT_RQ()
    message.primitive_to_message(request)
    parts = list(message.encode_msg(context_id, maximum_bytes))
    values = [value for part in parts for value in part.presentation_data_value_list]
    size_bytes = sum(len(content) + _PDV_HEADER_BYTES for _, content in values)
    if maximum_bytes and size_bytes > maximum_bytes:
        return parts
    whole = P_DATA()
    whole.presentation_data_value_list.extend(values)
    return [whole]
