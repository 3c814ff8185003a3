"""Rounds of delivery as rows: who is tried when, what waits, what is given up and sent again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pynetdicom import evt
from sqlalchemy import delete, select

from node.commands import retry as retry_command
from node.destinations import SOP_CLASS_OF_KIND, Destination
from node.errors import IllegalMoveError
from node.job import DELIVERING, DONE, FAILED, move, utc_now
from node.retry import retry
from node.settings import Settings, load_settings
from node.status import study_status
from node.store.migrate import upgrade
from node.store.session import Store, open_store
from node.store.tables import DestinationState, Event, Job
from tests.deliveries import EXPLICIT, Deliveries, result_object, waiting_job
from tests.deliveries import at as dimse_at
from tests.peers.ports import free_port
from tests.peers.strict import StrictArchive, running_strict

SEG, SR = SOP_CLASS_OF_KIND["SEG"], SOP_CLASS_OF_KIND["SR"]
TAKES = {SEG: [EXPLICIT], SR: [EXPLICIT]}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of one migrated SQLite for all tests; those of commitments use PostgreSQL."""
    settings = load_settings(state_dir=tmp_path_factory.mktemp("state"))
    upgrade(settings)
    return settings


@pytest.fixture(scope="module")
def store(settings: Settings) -> Iterator[Store]:
    """The open store."""
    store = open_store(settings)
    yield store
    store.close()


@pytest.fixture
def deliveries(store: Store, settings: Settings, tmp_path: Path) -> Deliveries:
    """Return a job whose two segmentations wait for the destinations `here` and `there`."""
    return waiting_job(store, settings, tmp_path, ["here", "there"])


def at(archive: StrictArchive | int, name: str, **changes: Any) -> Destination:
    """A destination at this archive, or at a port where nobody listens."""
    port = archive if isinstance(archive, int) else archive.port
    return dimse_at(port, name, **changes)


def known(store: Store, name: str) -> DestinationState | None:
    with store.reading() as session:
        return session.get(DestinationState, name)


@pytest.fixture(autouse=True)
def _nothing_known(store: Store) -> None:
    with store.writing() as session:
        session.execute(delete(DestinationState))


def test_every_destination_gets_every_result(deliveries: Deliveries) -> None:
    """All are confirmed, or sent where nothing confirms; a second round calls nobody."""
    with running_strict(TAKES) as archive:
        pair = at(archive, "here"), at(archive, "there", confirm="none")
        assert deliveries.round(*pair) == []
        assert deliveries.states("here") == ["confirmed"] * 2
        assert deliveries.states("there") == ["sent"] * 2
        # One association for both objects and their queries.
        assert archive.calls == 2
        assert deliveries.round(*pair) == []
        assert archive.calls == 2
    assert {row.transfer_syntax_uid for row in deliveries.rows()} == {EXPLICIT}
    assert [row.attempts for row in deliveries.rows()] == [1] * 4


def test_a_dead_destination_keeps_nothing_from_the_other(
    deliveries: Deliveries, store: Store
) -> None:
    """What can be delivered is; the job waits without a lease, and says once for whom."""
    nobody = at(free_port(), "there")
    with running_strict(TAKES) as archive:
        for _ in range(2):
            assert deliveries.round(at(archive, "here"), nobody) is None
            deliveries.forget_pauses()
    assert deliveries.states("here") == ["confirmed"] * 2
    assert deliveries.states("there") == ["pending"] * 2
    job = deliveries.job()
    assert (job.state, job.lease_owner) == (DELIVERING, None)
    assert job.due_at > utc_now()
    assert "does not answer" in str(job.error)
    with store.reading() as session:
        mine = Event.study_uid == deliveries.study_uid
        events = session.scalars(select(Event.text).where(mine)).all()
        assert study_status(session, deliveries.study_uid)["error"] == job.error
    assert len([text for text in events if "does not answer" in text]) == 1


def test_a_dead_destination_is_left_alone(deliveries: Deliveries, store: Store) -> None:
    """Until its pause has passed nobody calls it, however many jobs ask; the pause grows."""
    nobody = at(free_port(), "there")
    deliveries.round(nobody)
    first = known(store, "there")
    assert first is not None
    assert first.failures == 1
    pauses = [(first.due_at - utc_now()).total_seconds()]
    assert deliveries.round(nobody) is None
    assert known(store, "there").failures == 1
    for failures in (2, 3, 4):
        deliveries.forget_pauses()
        deliveries.round(nobody)
        state = known(store, "there")
        assert state.failures == failures
        pauses.append((state.due_at - utc_now()).total_seconds())
    assert pauses[3] > 4 * pauses[0]


def test_the_more_wait_the_further_apart_they_look(deliveries: Deliveries, store: Store) -> None:
    """A thousand studies that wait for one archive leave the workers to the others."""
    nobody = at(free_port(), "there")

    def rests() -> list[float]:
        due_at = []
        for _ in range(6):
            deliveries.round(nobody)
            due_at.append(deliveries.job().due_at)
        state = known(store, "there")
        assert state is not None
        return [(each - state.due_at).total_seconds() for each in due_at]

    assert max(rests()) < 2
    now = utc_now()
    times = {"due_at": now, "complete_at": now}
    row = {"study_uid": deliveries.study_uid, "state": DELIVERING, "attempts": 0, "crashes": 0}
    rows = [row | times | {"revision": number} for number in range(2, 1002)]
    with store.writing() as session:
        session.execute(Job.__table__.insert(), rows)  # type: ignore[attr-defined]  # a Table
    try:
        assert 10 < max(rests()) < 201
    finally:
        with store.writing() as session:
            session.execute(delete(Job).where(Job.revision > 1))


def test_a_destination_that_comes_back_gets_everything(
    deliveries: Deliveries, store: Store, settings: Settings, tmp_path: Path
) -> None:
    """Once it answers, everything is delivered, and whoever waits for it is woken."""
    (tmp_path / "other").mkdir()
    other = waiting_job(store, settings, tmp_path / "other", ["here"])
    archive = StrictArchive()
    assert deliveries.round(at(archive, "here"), at(archive, "there")) is None
    assert other.round(at(archive, "here")) is None
    assert other.job().due_at > utc_now()
    deliveries.forget_pauses()
    with running_strict(TAKES, archive):
        assert deliveries.round(at(archive, "here"), at(archive, "there")) == []
    assert deliveries.states() == ["confirmed"] * 4
    assert known(store, "here") is None
    assert other.job().due_at <= utc_now()
    assert [(row.failures, row.error) for row in deliveries.rows()] == [(0, None)] * 4


def test_given_up_and_sent_again_by_retry(
    deliveries: Deliveries, store: Store, settings: Settings
) -> None:
    """After the time to give up a delivery is dead with its reason, until a person retries."""
    nobody = at(free_port(), "there")
    with running_strict(TAKES) as archive:
        deliveries.round(at(archive, "here"), nobody)
        deliveries.age(settings.retry_give_up_seconds + 1)
        deliveries.forget_pauses()
        reasons = deliveries.round(at(archive, "here"), nobody)
        assert deliveries.states("there") == ["dead"] * 2
        assert reasons is not None
        assert len(reasons) == 1
        assert reasons[0].startswith("given up after 86400 s: there: STRICT")
        with store.writing() as session:
            job = session.merge(deliveries.job())
            job.error = reasons[0]
            move(session, job, FAILED, reasons[0])
            dead = [
                each
                for each in study_status(session, deliveries.study_uid)["results"]
                if each["error"]
            ]
        assert [each["state"] for each in dead] == ["dead"] * 2
        assert "given up" in dead[0]["error"]
        assert retry(store, deliveries.study_uid).job_id == deliveries.job_id
        assert deliveries.round(at(archive, "here"), at(archive, "there")) == []
    assert deliveries.states() == ["confirmed"] * 4


def test_all_dead_letters_of_a_destination(
    deliveries: Deliveries, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sentinode retry --destination` sends again whatever study did not arrive there."""
    with running_strict({SR: [EXPLICIT]}) as archive:
        reasons = deliveries.round(at(archive, "here"), at(archive, "somewhere"))
    assert reasons is not None
    with deliveries.store.writing() as session:
        move(session, session.merge(deliveries.job()), FAILED, "; ".join(reasons))
    monkeypatch.setenv("SENTINODE_STATE_DIR", str(settings.state_dir))
    monkeypatch.setenv("SENTINODE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("SENTINODE_BROKER_URL", "redis://127.0.0.1:1/0")
    none = CliRunner().invoke(retry_command, ["--destination", "nowhere"])
    assert none.exit_code == 1
    assert "no result was ever meant for a destination nowhere" in none.output
    assert "there" in none.output.rpartition(":")[2]
    # Other tests have left studies that were given up there.
    done = CliRunner().invoke(retry_command, ["--destination", "there"])
    assert done.exit_code == 0
    assert done.output.endswith("studies queued\n")
    assert deliveries.job().state == DELIVERING
    assert deliveries.states() == ["pending"] * 4


def test_retry_does_not_wait_for_a_pause(deliveries: Deliveries, store: Store) -> None:
    """A person who has mended an archive need not wait until it is tried again."""
    archive = StrictArchive()
    lasting = at(archive, "here"), at(archive, "there")
    deliveries.round(*lasting)
    retry(store, deliveries.study_uid)
    assert deliveries.job().due_at <= utc_now()
    with running_strict(TAKES, archive):
        assert deliveries.round(*lasting) == []
    with store.writing() as session:
        move(session, session.merge(deliveries.job()), DONE, "every result is confirmed")
    with pytest.raises(IllegalMoveError, match="this one is done"):
        retry(store, deliveries.study_uid)


def test_one_sop_class_of_several_is_not_taken(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    """What the archive does not take is refused with the reason; the others arrive."""
    objects = [result_object("SR"), result_object("SEG"), result_object("SR")]
    deliveries = waiting_job(store, settings, tmp_path, ["here"], objects)
    with running_strict({SR: [EXPLICIT]}) as archive:
        reasons = deliveries.round(at(archive, "here"))
        assert archive.kept_uids == {objects[0].SOPInstanceUID, objects[2].SOPInstanceUID}
    assert deliveries.states() == ["confirmed", "refused", "confirmed"]
    assert reasons is not None
    assert "here: does not accept Segmentation Storage in" in reasons[0]


def test_an_object_that_ends_the_association(deliveries: Deliveries) -> None:
    """It goes last in the next round, so that it holds up none of the others."""
    poison = deliveries.objects[0].SOPInstanceUID

    def abort_at_poison(event: evt.Event) -> int | None:
        return None if event.request.AffectedSOPInstanceUID == poison else 0x0000

    with running_strict(TAKES, StrictArchive(store_status=abort_at_poison)) as archive:
        assert deliveries.round(at(archive, "here")) is None
        assert deliveries.states("here") == ["pending"] * 2
        deliveries.forget_pauses()
        assert deliveries.round(at(archive, "here")) is None
        assert deliveries.states("here") == ["pending", "confirmed"]
        assert archive.kept_uids == {deliveries.objects[1].SOPInstanceUID}


def test_an_archive_that_is_full(deliveries: Deliveries, store: Store) -> None:
    """A700 is a failure of the archive, not of the object; it heals."""
    with running_strict(TAKES, StrictArchive(store_status=lambda _: 0xA700)) as archive:
        assert deliveries.round(at(archive, "here")) is None
        state = known(store, "here")
        assert state is not None
        assert "out of resources (0xA700)" in str(state.error)
        archive.store_status = lambda _: 0x0000
        deliveries.forget_pauses()
        deliveries.round(at(archive, "here"))
    assert deliveries.states("here") == ["confirmed"] * 2


def test_an_object_that_is_refused(deliveries: Deliveries) -> None:
    """A900 is final, is told, and says nothing about the next object."""
    bad = deliveries.objects[0].SOPInstanceUID

    def refuse(event: evt.Event) -> int:
        return 0xA900 if event.request.AffectedSOPInstanceUID == bad else 0x0000

    with running_strict(TAKES, StrictArchive(store_status=refuse)) as archive:
        deliveries.round(at(archive, "here"))
    assert deliveries.states("here") == ["refused", "confirmed"]
    assert deliveries.rows("here")[0].error == "here: C-STORE answered 0xA900"


def test_an_object_that_is_not_listed_is_sent_again(deliveries: Deliveries) -> None:
    """Sent, not found, asked again after a pause, and then sent once more."""
    with running_strict(TAKES, StrictArchive(lists=False)) as archive:
        assert deliveries.round(at(archive, "here")) is None
        assert deliveries.states("here") == ["sent"] * 2
        deliveries.forget_pauses()
        assert deliveries.round(at(archive, "here")) is None
        assert deliveries.states("here") == ["pending"] * 2
        archive.lists = True
        deliveries.forget_pauses()
        deliveries.round(at(archive, "here"))
        assert sorted(len(each) for each in archive.kept.values()) == [2, 2]
    assert deliveries.states("here") == ["confirmed"] * 2


def test_a_destination_that_is_no_longer_configured(deliveries: Deliveries) -> None:
    """Its deliveries are refused, with what to do; the others arrive."""
    with running_strict(TAKES) as archive:
        reasons = deliveries.round(at(archive, "here"))
    assert deliveries.states("there") == ["refused"] * 2
    assert reasons == ["destination there is no longer configured; add it and retry"]


def test_one_that_was_away_and_is_no_longer_configured(
    deliveries: Deliveries, store: Store
) -> None:
    """Nothing is known of it any more: an alert for it would never end."""
    away = at(free_port(), "there")
    with running_strict(TAKES) as archive:
        assert deliveries.round(at(archive, "here"), away) is None
        assert known(store, "there") is not None
        deliveries.forget_pauses()
        assert deliveries.round(at(archive, "here")) is not None
    assert known(store, "there") is None


def test_a_secret_that_is_gone(deliveries: Deliveries, tmp_path: Path) -> None:
    """A wrong configuration of one destination keeps nothing from the other."""
    absent = at(1, "there", protocol="stow", url="http://127.0.0.1:1", confirm="none")
    absent = absent.model_copy(update={"token_file": tmp_path / "absent"})
    with running_strict(TAKES) as archive:
        reasons = deliveries.round(absent, at(archive, "here"))
    assert deliveries.states("here") == ["confirmed"] * 2
    assert reasons is not None
    assert "token_file" in reasons[0]


def test_one_that_was_not_called_is_not_reached_again(
    deliveries: Deliveries, store: Store, tmp_path: Path
) -> None:
    """A secret that is gone says nothing of an archive that is away: it stays known as such."""
    away = at(free_port(), "there")
    with running_strict(TAKES) as archive:
        assert deliveries.round(away, at(archive, "here")) is None
        deliveries.forget_pauses()
        absent = at(1, "there", protocol="stow", url="http://127.0.0.1:1", confirm="none")
        deliveries.round(absent.model_copy(update={"token_file": tmp_path / "absent"}))
    assert deliveries.states("there") == ["refused"] * 2
    assert known(store, "there") is not None


def test_one_that_answers_with_a_refusal_is_reached(deliveries: Deliveries, store: Store) -> None:
    """To accept none of the presentation contexts is an answer too."""
    archive = StrictArchive()
    deliveries.round(at(archive, "here"), at(archive, "there"))
    assert known(store, "here") is not None
    deliveries.forget_pauses()
    with running_strict({}, archive, services=()):
        deliveries.round(at(archive, "here"), at(archive, "there"))
    assert deliveries.states() == ["refused"] * 4
    assert known(store, "here") is None
