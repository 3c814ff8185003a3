"""Statuses and the response module."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from node.errors import LargeRequestError
from node.instance import Outcome
from node.store.incoming import Claim
from node.stow.answer import http_status, response_module
from node.stow.intake import Report

NEW, SAME = Outcome(0x0000, "", "new"), Outcome(0x0000, "", "same")
APART = Outcome(0xB000, "kept apart", "conflict")
FULL, BUSY = Outcome(0xA700, "disk", "refused"), Outcome(0xA700, "backlog", "refused")
WRONG, CRASH = Outcome(0xA900, "no match", "refused"), Outcome(0xC211, "internal", "failed")


def report(*outcomes: Outcome, unknown: tuple[int, ...] = ()) -> Report:
    """Instances 1.2.1, 1.2.2 ... with these outcomes."""
    return Report(
        [(Claim("1.2", f"1.2.{n}", "", "", ""), each) for n, each in enumerate(outcomes, 1)],
        list(unknown),
    )


@pytest.mark.parametrize(
    ("outcomes", "unknown", "status"),
    [
        ((NEW, SAME), (), 200),
        ((NEW, APART), (), 202),
        ((APART,), (), 202),
        ((NEW, WRONG), (), 202),
        ((NEW, FULL), (), 202),
        ((NEW,), (0xC000,), 202),
        ((WRONG, CRASH), (), 409),
        ((), (0xC000,), 409),
        ((FULL, WRONG), (), 409),
        ((FULL, BUSY), (), 503),
    ],
)
def test_status(outcomes: tuple[Outcome, ...], unknown: tuple[int, ...], status: int) -> None:
    """PS3.18 table 10.5.3-1: all, some, none; 503 when trying again later is all there is to do."""
    assert http_status(report(*outcomes, unknown=unknown), None) == status


def test_status_of_a_broken_request() -> None:
    """The break decides, whatever was stored before it."""
    assert http_status(report(NEW), LargeRequestError("too large")) == 413


def test_response_module() -> None:
    """PS3.18 table I.1-1: each instance once, with its reason."""
    nameless = (Claim("", "no uid", "", "", ""), WRONG)
    told = report(NEW, APART, WRONG, CRASH, FULL, unknown=(0xC000,))
    told.instances.append(nameless)
    # As a receiver reads it.
    module = Dataset.from_json(response_module(told))
    stored, failed = module.ReferencedSOPSequence, module.FailedSOPSequence
    assert [item.ReferencedSOPInstanceUID for item in stored] == ["1.2.1", "1.2.2"]
    assert [item.get("WarningReason") for item in stored] == [None, 0xB000]
    assert {item.ReferencedSOPClassUID for item in (*stored, *failed)} == {"1.2"}
    assert [item.ReferencedSOPInstanceUID for item in failed] == ["1.2.3", "1.2.4", "1.2.5"]
    assert [item.FailureReason for item in failed] == [0xA900, 0x0110, 0xA700]
    assert [item.FailureReason for item in module.OtherFailuresSequence] == [0xA900, 0xC000]


def test_empty_sequences_are_absent() -> None:
    """A sender may take an empty Failed SOP Sequence for a failure."""
    module = response_module(report(NEW))
    assert set(module) == {"00081190", "00081199"}
