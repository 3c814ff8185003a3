"""Event Information of Storage Commitment (PS3.4 table J.3-2)."""

from __future__ import annotations

from node.commitment.event_report import ALL_COMMITTED, FAILURES_EXIST, event_information
from node.store.commitments import Asked, Reference

A, B = Reference("1.2.3", "2.25.1"), Reference("1.2.3", "2.25.2")
ASKED = Asked("2.25.99", (A, B))


def test_success_has_no_failed_sequence() -> None:
    """Event type 1 lists everything as referenced and nothing as failed."""
    event_type, information = event_information(ASKED, {})
    assert event_type == ALL_COMMITTED
    assert information.TransactionUID == "2.25.99"
    uids = [item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence]
    assert uids == ["2.25.1", "2.25.2"]
    assert "FailedSOPSequence" not in information


def test_failures_stand_apart_with_their_reason() -> None:
    """Event type 2 lists what is committed and what failed, each once."""
    event_type, information = event_information(ASKED, {B: 0x0112})
    assert event_type == FAILURES_EXIST
    (good,), (bad,) = information.ReferencedSOPSequence, information.FailedSOPSequence
    assert good.ReferencedSOPInstanceUID == "2.25.1"
    assert (bad.ReferencedSOPInstanceUID, bad.FailureReason) == ("2.25.2", 0x0112)
    assert "FailureReason" not in good


def test_nothing_committed_has_no_referenced_sequence() -> None:
    """An empty Referenced SOP Sequence is left out, as its type 1C demands."""
    event_type, information = event_information(ASKED, {A: 0x0110, B: 0x0110})
    assert event_type == FAILURES_EXIST
    assert "ReferencedSOPSequence" not in information
    assert len(information.FailedSOPSequence) == 2
