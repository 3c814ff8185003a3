"""N-ACTION of Storage Commitment as SCU (PS3.4 J.3.2): an archive is asked to take responsibility.

In: an association to the archive, a Transaction UID and what was stored there. Out: nothing, or why
not. The answer is a report: on this association if it comes at once, else on another, later
(`node.commitment.receipt`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.service_class_n import StorageCommitmentServiceClass

from node.calling import answer_text
from node.commitment.event_report import (
    STORAGE_COMMITMENT,
    WELL_KNOWN_INSTANCE,
    referenced,
    wait_while_established,
)
from node.errors import DestinationUnavailableError, ObjectPostponedError
from node.store.commitments import Reference

_REQUEST_STORAGE_COMMITMENT = 1
# Archives that report at once do so within this; others report on an association of their own.
_REPORT_SECONDS = 2.0


def is_offered(association: Association) -> bool:
    """Whether the peer accepted the Storage Commitment Push Model on this association."""
    contexts: Any = association.accepted_contexts
    return any(each.abstract_syntax == STORAGE_COMMITMENT for each in contexts)


def ask(association: Association, transaction_uid: str, items: Sequence[Reference]) -> None:
    """Ask, and wait a moment for a report on the same association.

    Raises DestinationUnavailableError where no answer came, ObjectPostponedError where it was no.
    """
    with _reported(association) as reported:
        answer, _ = association.send_n_action(
            request(transaction_uid, items),
            _REQUEST_STORAGE_COMMITMENT,
            STORAGE_COMMITMENT,
            WELL_KNOWN_INSTANCE,
        )
        status = answer.get("Status")
        if status is None:
            raise DestinationUnavailableError("no answer to N-ACTION of Storage Commitment")
        if status != 0x0000:
            raise ObjectPostponedError(f"{answer_text(status)} to N-ACTION of Storage Commitment")
        wait_while_established(association, _REPORT_SECONDS, reported)


def request(transaction_uid: str, items: Sequence[Reference]) -> Dataset:
    """The Action Information (PS3.4 table J.3-1)."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [referenced(item) for item in items]
    return information


@contextmanager
def _reported(association: Association) -> Iterator[threading.Event]:
    """Set once a report on this association has been answered."""
    answered = threading.Event()

    def note(event: evt.Event) -> None:
        if isinstance(event.message, N_EVENT_REPORT_RSP):
            answered.set()

    association.bind(evt.EVT_DIMSE_SENT, note)
    association._serve_request = partial(_serve_beside, association)  # type: ignore[method-assign]
    try:
        yield answered
    finally:
        association.unbind(evt.EVT_DIMSE_SENT, note)


def _serve_beside(association: Association, message: Any, context_id: int) -> None:
    """Serve a report without touching the association's loop.

    pynetdicom 3.0.4 serves it in a thread that at its end marks the loop as running; whoever is
    about to release then waits for the loop to halt, for ever.
    """
    context = association._accepted_cx.get(context_id)
    if context is not None and context.abstract_syntax == STORAGE_COMMITMENT:
        StorageCommitmentServiceClass(association).SCP(message, context)
