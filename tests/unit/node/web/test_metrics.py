"""Metrics: right numbers, and never an identifier."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from node.settings import Settings
from node.store.commitments import STATES as COMMITMENT_STATES
from node.store.commitments import Asked, Reference, keep_request
from node.store.session import Store
from node.store.tables import Base, DestinationState, Job, ModelRun
from tests.unit.node.web.conftest import Client
from tests.unit.node.web.rows import DESTINATION, SIZE_BYTES, add_beat, add_study


def _scrape(client: Client) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_count_what_the_database_holds(client: Client, store: Store) -> None:
    """States, bytes, runs, deliveries and heartbeats are those of the rows."""
    add_study(store, 1)
    add_study(store, 2, state="failed", failed_run="no memory", delivery_state="refused")
    add_study(store, 3, state="receiving")
    add_beat(store, "worker", datetime.now(UTC))
    asked = Asked("2.25.99", (Reference("1.2.3", "2.25.1"),))
    keep_request(store, asked, "MAMMO1", "192.0.2.7", Settings())
    found = _scrape(client)
    assert found["sentinode_studies", "done"] == 1
    assert found["sentinode_studies", "receiving"] == 1
    assert found["sentinode_studies", "skipped"] == 0
    assert found["sentinode_jobs", "failed"] == 1
    assert found["sentinode_instances_received_total",] == 3
    assert found["sentinode_received_bytes_total",] == 3 * SIZE_BYTES
    assert found["sentinode_model_runs_total", "mask_rcnn_mg", "failed"] == 1
    assert found["sentinode_model_run_seconds_total", "mask_rcnn_mg", "succeeded"] == 1.5
    assert found["sentinode_deliveries", DESTINATION, "refused"] == 1
    assert found["sentinode_deliveries", DESTINATION, "dead"] == 0
    assert [found["sentinode_commitments", state] for state in COMMITMENT_STATES] == [1, 0, 0]
    assert 0 <= found["sentinode_heartbeat_age_seconds", "worker"] < 60
    assert found["sentinode_free_disk_bytes",] > 0
    assert found["sentinode_database_up",] == 1


def test_a_destination_that_is_not_reached(client: Client, store: Store) -> None:
    """It has a series for as long as it fails, and none when it works."""
    assert not [each for each in _scrape(client) if "destination_failing" in each[0]]
    since = datetime.now(UTC) - timedelta(minutes=5)
    row = {"name": DESTINATION, "failures": 3, "failing_since": since, "due_at": since}
    with store.writing() as session:
        session.add(DestinationState(**row))
    assert _scrape(client)["sentinode_destination_failing_seconds", DESTINATION] >= 300


def test_waiting_job_ages(client: Client, store: Store) -> None:
    """The age is that of the oldest job that nobody holds; without one it is 0."""
    add_study(store, 1, state="done")
    assert _scrape(client)["sentinode_oldest_waiting_job_age_seconds",] == 0
    add_study(store, 2, state="queued")
    assert _scrape(client)["sentinode_oldest_waiting_job_age_seconds",] > 0


def test_a_delivery_that_waits_for_an_archive_waits_for_no_worker(
    client: Client, store: Store
) -> None:
    """It counts from when it is due: an archive that is away is no lack of workers."""
    add_study(store, 1, state="delivering")
    name = "sentinode_oldest_waiting_job_age_seconds"
    for due_in, least, most in ((60, 0, 0), (-30, 30, 40)):
        with store.writing() as session:
            session.scalars(select(Job)).one().due_at = datetime.now(UTC) + timedelta(
                seconds=due_in
            )
        assert least <= _scrape(client)[name,] <= most


def test_a_counter_never_falls(client: Client, store: Store) -> None:
    """A retry takes runs back; Prometheus would take that for a start from zero."""
    add_study(store, 1)
    add_study(store, 2)
    name = "sentinode_model_runs_total", "mask_rcnn_mg", "succeeded"
    assert _scrape(client)[name] == 2
    with store.writing() as session:
        session.delete(session.scalars(select(ModelRun).limit(1)).one())
    assert _scrape(client)[name] == 2
    add_study(store, 3)
    add_study(store, 4)
    assert _scrape(client)[name] == 3


def test_metrics_name_no_one(client: Client, store: Store) -> None:
    """No UID and no host appears in a label."""
    uid = add_study(store)
    text = client.get("/metrics").text
    assert uid not in text
    assert "2.25." not in text
    assert "192.0.2.7" not in text


def test_scrape_without_database_says_so(client: Client, store: Store) -> None:
    """A database that fails is a number, not a failed scrape."""
    Base.metadata.drop_all(store.engine)
    found = _scrape(client)
    assert found["sentinode_database_up",] == 0
    assert ("sentinode_studies", "done") not in found
