"""Rows of Storage Commitment: claims and their ends, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from node.commitment.callback import report_until
from node.commitment.provider import Archive
from node.job import utc_now
from node.settings import Settings
from node.store.commitments import (
    ABANDONED,
    REPORTED,
    WAITING,
    Asked,
    Claim,
    Reference,
    claim_due,
    due_titles,
    hand_back,
    keep_request,
    mark_reported,
    postpone,
    renew,
)
from node.store.files import Files
from node.store.session import Store
from node.store.tables import Commitment
from tests.peers.receiver import wait_until
from tests.peers.threads import no_threads

A, B = Reference("1.2.3", "2.25.1"), Reference("1.2.3", "2.25.2")


class Desk:
    """One store, asked by one AE unless told otherwise."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store, self.settings = store, settings

    def ask(self, *items: Reference, title: str = "MAMMO1") -> Claim | None:
        """Keep a request under one Transaction UID."""
        asked = Asked("2.25.99", items)
        return keep_request(self.store, asked, title, "10.0.0.1", self.settings)

    def asked(self, *items: Reference, title: str = "MAMMO1") -> Claim:
        """The same, where it must be free."""
        claim = self.ask(*items, title=title)
        assert claim is not None
        return claim

    def due(self) -> Claim | None:
        """Claim what is due."""
        return claim_due(self.store, "MAMMO1", self.settings)

    def row(self, claim: Claim) -> Commitment:
        """The row of a claim."""
        with self.store.reading() as session:
            return session.get_one(Commitment, claim.commitment_id)

    def lease_ends(self) -> None:
        """What time does to the lease of a dead process."""
        with self.store.writing() as session:
            session.execute(update(Commitment).values(lease_until=utc_now()))


@pytest.fixture
def desk(store: Store, settings: Settings) -> Desk:
    """An empty store."""
    return Desk(store, settings)


def test_a_claimed_request_is_nobody_elses(desk: Desk) -> None:
    """While the receiver answers, no sweeper finds the request; handed back it is due at once."""
    claim = desk.asked(A, B)
    assert due_titles(desk.store) == []
    assert desk.due() is None
    hand_back(desk.store, claim)
    assert due_titles(desk.store) == ["MAMMO1"]
    again = desk.due()
    assert again is not None
    assert (again.asked, again.attempt) == (claim.asked, claim.attempt + 1)
    assert desk.due() is None


def test_a_dead_holder_loses_its_claim(desk: Desk) -> None:
    """After its lease another may answer; what the first writes then has no effect."""
    first = desk.asked(A)
    desk.lease_ends()
    second = desk.due()
    assert second is not None
    assert not renew(desk.store, first, desk.settings)
    mark_reported(desk.store, first)
    postpone(desk.store, first, "late", desk.settings)
    assert (desk.row(first).state, desk.row(first).error) == (WAITING, None)
    assert renew(desk.store, second, desk.settings)
    mark_reported(desk.store, second)
    assert desk.row(second).state == REPORTED


def test_the_same_request_is_one_row(desk: Desk) -> None:
    """Again while it is being answered: nothing. Again afterwards: it is answered again."""
    first = desk.asked(A, B)
    assert desk.ask(B, A) is None
    mark_reported(desk.store, first)
    again = desk.asked(B, A)
    assert again.commitment_id == first.commitment_id
    assert not again.transaction_in_use
    assert desk.row(again).state == WAITING


def test_asked_again_while_it_is_answered_is_answered_again(desk: Desk) -> None:
    """The report may have gone before the second request came; nobody would wait for another."""
    first = desk.asked(A)
    assert desk.ask(A) is None
    mark_reported(desk.store, first)
    second = desk.due()
    assert second is not None
    mark_reported(desk.store, second)
    assert desk.row(second).state == REPORTED
    assert desk.due() is None


def test_another_request_under_the_same_transaction_is_known_as_such(desk: Desk) -> None:
    """Other items, or another AE: the Transaction UID is in use, and stays so for them."""
    assert not desk.asked(A).transaction_in_use
    assert desk.asked(A, B).transaction_in_use
    assert desk.asked(A, title="MAMMO2").transaction_in_use


def test_many_at_once_keep_one_request(desk: Desk) -> None:
    """The same request through eight receivers is one row with one claim."""
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: desk.ask(A, B), range(8)))
    assert len([claim for claim in claims if claim is not None]) == 1
    with desk.store.reading() as session:
        assert session.query(Commitment).count() == 1


def test_many_sweepers_claim_once(desk: Desk) -> None:
    """Eight sweepers, one request: one of them answers it."""
    hand_back(desk.store, desk.asked(A))
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: desk.due(), range(8)))
    assert len([claim for claim in claims if claim is not None]) == 1


def test_failure_waits_longer_each_time_until_given_up(store: Store, settings: Settings) -> None:
    """Pauses double up to their limit; after the give-up time the reason stays."""
    desk = Desk(store, settings.model_copy(update={"retry_seconds": 5, "retry_max_seconds": 8}))
    claim = desk.asked(A)
    for pause_seconds in (5, 8):
        assert postpone(store, claim, "away", desk.settings) == WAITING
        row = desk.row(claim)
        left = (row.due_at - utc_now()).total_seconds()
        assert pause_seconds - 4 < left <= pause_seconds
        assert desk.due() is None
        claim = desk.asked(A)
    over = settings.model_copy(update={"retry_give_up_seconds": 1e-9})
    assert postpone(store, claim, "away for good", over) == ABANDONED
    row = desk.row(claim)
    assert (row.state, row.error, row.lease_until) == (ABANDONED, "away for good", None)
    assert due_titles(store) == []


def test_a_moment_without_threads_ends_no_reports(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """No modality was called back any more until the sweeper was started again."""
    settings = desk.settings.model_copy(update={"sweep_seconds": 0.05})
    archive = Archive(settings, desk.store, Files(settings.state_dir), {})
    stop = threading.Event()
    reporter = threading.Thread(target=report_until, args=(stop, archive), daemon=True)
    reporter.start()
    with no_threads():
        claim = desk.asked(A)
        hand_back(desk.store, claim)
        wait_until(lambda: "reporting again soon" in caplog.text, 10, "a look that failed")
    wait_until(lambda: desk.row(claim).error, 10, "a look")
    assert "SENTINODE_PEERS has no entry for MAMMO1" in str(desk.row(claim).error)
    stop.set()
    reporter.join()
