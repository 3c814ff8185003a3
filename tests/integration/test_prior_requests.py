"""Rows of prior retrieval on both databases: made once, worked on by one, given up in time."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from node.errors import LeaseLostError
from node.job import utc_now
from node.peers import Peer
from node.priors import requests
from node.priors.requests import Errand
from node.priors.retrieval import Source
from node.priors.rules import PriorRule
from node.settings import Settings
from node.store.session import Store
from node.store.tables import Event, Instance, PriorRequest, Study
from tests.peers.node import sentinode
from tests.peers.receiver import wait_until
from tests.peers.threads import no_threads

RULE = PriorRule(name="mg", source="ARCHIVE", modalities=("MG",), within_days=10)
OTHER = PriorRule(
    name="us", match={"Modality": ["US"]}, source="ARCHIVE", modalities=("US",), within_days=10
)
STUDY = "1.2.3"


@pytest.fixture
def asked(store: Store) -> Store:
    """Return a store with one study whose completion made a request of RULE."""
    now = utc_now()
    with store.writing() as session:
        study = Study(
            study_uid=STUDY, state="queued", revision=1, first_instance_at=now, last_instance_at=now
        )
        session.add(study)
        session.flush()
        requests.request_priors(session, study, [image()], [RULE, OTHER])
    return store


def image() -> Instance:
    """What a modality sent, as far as rules look at it."""
    return Instance(attributes={"Modality": "MG"})


def row(store: Store) -> PriorRequest:
    """The one request."""
    with store.reading() as session:
        return session.scalars(select(PriorRequest)).one()


def timeline(store: Store) -> list[tuple[str, str]]:
    """Stage and text of each line."""
    with store.reading() as session:
        return [
            (line.stage, line.text) for line in session.scalars(select(Event).order_by(Event.id))
        ]


def claim(store: Store, settings: Settings) -> Errand | None:
    """Claim whatever is due."""
    return requests.claim(store, ["mg", "us"], settings)


def changed(store: Store, **values: Any) -> None:
    """Let time pass for the request."""
    with store.writing() as session:
        session.execute(update(PriorRequest).values(**values))


def test_a_study_asks_once_for_each_rule_that_matches(asked: Store) -> None:
    """A second revision asks nothing again; a rule that does not match makes no row."""
    with asked.writing() as session:
        study = session.get_one(Study, STUDY)
        requests.request_priors(session, study, [image()], [RULE, OTHER])
    assert (row(asked).rule, row(asked).state) == ("mg", "waiting")
    assert timeline(asked) == [("prior requested", "from ARCHIVE, rule mg")]


def test_only_one_sweeper_gets_a_request(asked: Store, settings: Settings) -> None:
    """The second claim finds nothing; rules of another source are not looked at."""
    assert requests.claim(asked, ["us"], settings) is None
    assert claim(asked, settings) is not None
    assert claim(asked, settings) is None


def test_claim_of_a_dead_sweeper_is_taken_over(asked: Store, settings: Settings) -> None:
    """After the lease another try begins, and the first can no longer write."""
    first = claim(asked, settings)
    assert first is not None
    changed(asked, due_at=utc_now() - timedelta(seconds=1))
    second = claim(asked, settings)
    assert second is not None
    assert second.attempt == 2
    for write in (
        lambda: requests.renew(asked, first, settings),
        lambda: requests.finish(asked, first, 1, 1),
        lambda: requests.fail(asked, first, "late"),
        lambda: requests.postpone(asked, first, "late", settings),
    ):
        with pytest.raises(LeaseLostError):
            write()
    requests.finish(asked, second, 2, 8)
    assert row(asked).state == "done"
    assert timeline(asked)[1:] == [("prior found", "2 studies, 8 new instances (rule mg)")]


def test_renewed_claim_stays(asked: Store, settings: Settings) -> None:
    """While a long retrieval goes on, its lease is kept in the background."""
    quick = settings.model_copy(update={"lease_seconds": 0.3})
    errand = claim(asked, quick)
    assert errand is not None
    with requests.kept(asked, errand, quick):
        before = row(asked).due_at
        deadline = utc_now() + timedelta(seconds=20)
        while row(asked).due_at == before:
            assert utc_now() < deadline
        assert row(asked).attempts == 1


def test_failures_are_tried_again_and_told_once(asked: Store, settings: Settings) -> None:
    """Each try waits longer; the timeline has a line for a reason, not for each try."""
    for attempt in (1, 2):
        errand = claim(asked, settings)
        assert errand is not None
        requests.postpone(asked, errand, "ARCHIVE does not answer", settings)
        pause = row(asked).due_at - utc_now()
        assert pause <= timedelta(seconds=settings.retry_seconds * 2 ** (attempt - 1))
        assert claim(asked, settings) is None
        changed(asked, due_at=utc_now() - timedelta(seconds=1))
    assert timeline(asked)[1:] == [("prior waits", "ARCHIVE does not answer; trying again")]


def test_lasting_failure_is_given_up_and_can_be_asked_again(
    asked: Store, settings: Settings
) -> None:
    """After RETRY_GIVE_UP_SECONDS a request has failed, with its reason, until somebody retries."""
    errand = claim(asked, settings)
    assert errand is not None
    long_ago = utc_now() - timedelta(seconds=settings.retry_give_up_seconds + 1)
    changed(asked, failing_since=long_ago)
    requests.postpone(asked, errand, "ARCHIVE does not answer", settings)
    assert (row(asked).state, row(asked).error) == ("failed", "given up: ARCHIVE does not answer")
    assert timeline(asked)[-1][0] == "prior failed"
    assert claim(asked, settings) is None
    with asked.writing() as session:
        assert requests.ask_again(session, STUDY) == 1
    again = claim(asked, settings)
    assert again is not None
    assert again.attempt == 2


def test_a_moment_without_threads_ends_no_retrieval(
    asked: Store, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """No prior was asked of the archive any more until the sweeper was started again."""
    quick = settings.model_copy(update={"sweep_seconds": 0.05, "lease_seconds": 0.5})
    nobody = Peer(ae_title="ARCHIVE", host="127.0.0.1", port=1)
    stop = threading.Event()
    source = Source(nobody, {"mg": RULE}, quick, asked, None)
    changed(asked, due_at=utc_now() + timedelta(hours=1))
    retriever = threading.Thread(target=source.serve, args=(stop,), daemon=True)
    retriever.start()
    with no_threads():
        changed(asked, due_at=utc_now())
        wait_until(lambda: "priors are asked for soon" in caplog.text, 10, "a try that failed")
    wait_until(lambda: row(asked).error, 10, "a try")
    assert "does not answer" in str(row(asked).error)
    stop.set()
    retriever.join()


def test_retry_asks_again(asked: Store, settings: Settings) -> None:
    """`sentinode retry` gives a study whose priors failed another chance, and says so."""
    errand = claim(asked, settings)
    assert errand is not None
    requests.fail(asked, errand, "the study has no PatientID")
    named = {"state_dir": settings.state_dir, "database_url": settings.database_url}
    said = sentinode(named, "retry", STUDY)
    assert "1 failed requests for prior studies are tried again" in said
    assert row(asked).state == "waiting"
