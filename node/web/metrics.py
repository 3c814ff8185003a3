"""Metrics for Prometheus, computed from the database at scrape time: no process need remember.

Labels are states, roles, and the names of models and destinations; never an identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from sqlalchemy import case, func, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from node.job import (
    ACTIVE,
    DELIVERING,
    DONE,
    FAILED,
    QUEUED,
    RECEIVING,
    REMOVED,
    RUNNING,
    SKIPPED,
)
from node.store.commitments import STATES as COMMITMENT_STATES
from node.store.deliveries import OPEN
from node.store.deliveries import STATES as DELIVERY_STATES
from node.store.tables import (
    Commitment,
    Delivery,
    DestinationState,
    Instance,
    Job,
    ModelRun,
    Process,
    Removal,
    Result,
    Study,
)
from node.web.coalesced import Coalesced
from node.web.site import Site

JOB_STATES = (QUEUED, RUNNING, DELIVERING, DONE, FAILED)
STUDY_STATES = (RECEIVING, *JOB_STATES, SKIPPED, REMOVED)


def router(site: Site) -> APIRouter:
    """The route /metrics over a registry of its own."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(site))
    scrape = Coalesced(lambda: generate_latest(registry))
    routes = APIRouter()

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(await scrape(), media_type=CONTENT_TYPE_LATEST)

    return routes


class StoreCollector(Collector):
    """Asks the database at each scrape; says so when it does not answer."""

    def __init__(self, site: Site) -> None:
        self._site = site
        # The highest value that each counter has shown.
        self._shown: dict[tuple[str, ...], float] = {}

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not query."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        try:
            # At once: what a removal takes from one table is in another, and counts once.
            with self._site.store.reading_at_once() as session:
                found = [self._rising(metric) for part in _PARTS for metric in part(session)]
        except SQLAlchemyError:
            found = []
        yield _gauge("database_up", "1 when the database answers", 1.0 if found else 0.0)
        yield from found
        try:
            free = self._site.files.free_bytes()
        except OSError:
            return
        yield _gauge("free_disk_bytes", "Free disk under the state directory", free)

    def _rising(self, metric: Metric) -> Metric:
        """A counter as high as it was: for Prometheus one that falls has begun again at zero.

        A study that is retried takes model runs back.
        """
        if isinstance(metric, CounterMetricFamily):
            metric.samples = [self._no_lower(sample) for sample in metric.samples]
        return metric

    def _no_lower(self, sample: Sample) -> Sample:
        key = (sample.name, *sample.labels.values())
        self._shown[key] = max(sample.value, self._shown.get(key, 0.0))
        return sample._replace(value=self._shown[key])


def _states(session: Session) -> Iterator[Metric]:
    studies = GaugeMetricFamily("sentinode_studies", "Studies by state", labels=["state"])
    jobs = GaugeMetricFamily("sentinode_jobs", "Jobs (study revisions) by state", labels=["state"])
    by_study = select(Study.state, func.count()).group_by(Study.state)
    by_job = select(Job.state, func.count()).group_by(Job.state)
    # Every state is always there, so that an alert on `failed` has a series from the start.
    _add_all(studies, STUDY_STATES, session.execute(by_study).all())
    _add_all(jobs, JOB_STATES, session.execute(by_job).all())
    yield studies
    yield jobs


def _waiting(session: Session) -> Iterator[Metric]:
    now = datetime.now(UTC)
    free = or_(Job.lease_until.is_(None), Job.lease_until < now)
    # A delivery that waits for an archive is no worker's fault: it counts from when it is due.
    since = case((Job.state == DELIVERING, Job.due_at), else_=Job.complete_at)
    oldest = session.scalar(select(func.min(since)).where(Job.state.in_(ACTIVE), free))
    age_seconds = max((now - oldest).total_seconds(), 0.0) if oldest else 0.0
    text = "How long the oldest job waits that no worker holds; 0 when there is none"
    yield _gauge("oldest_waiting_job_age_seconds", text, age_seconds)


def _received(session: Session) -> Iterator[Metric]:
    total = select(func.count(), func.coalesce(func.sum(Instance.size_bytes), 0))
    instances, size_bytes = session.execute(total.select_from(Instance)).one()
    removed = select(
        func.count(),
        func.coalesce(func.sum(Removal.instances), 0),
        func.coalesce(func.sum(Removal.received_bytes), 0),
        func.coalesce(func.sum(Removal.result_bytes), 0),
    )
    studies, gone, gone_bytes, result_bytes = session.execute(removed).one()
    yield _counter("instances_received", "Instances acknowledged", instances + gone)
    text = "Bytes of the acknowledged instances"
    yield _counter("received_bytes", text, size_bytes + gone_bytes)
    yield _counter("removed_studies", "Studies that retention removed", studies)
    text = "Bytes of their instances and results"
    yield _counter("removed_bytes", text, gone_bytes + result_bytes)


def _model_runs(session: Session) -> Iterator[Metric]:
    labels = ["model", "outcome"]
    runs = CounterMetricFamily("sentinode_model_runs", "Model runs by outcome", labels=labels)
    seconds = CounterMetricFamily("sentinode_model_run_seconds", "Time in runs", labels=labels)
    rows = session.execute(
        select(ModelRun.model, ModelRun.state, func.count(), func.sum(ModelRun.seconds))
        .group_by(ModelRun.model, ModelRun.state)
        .order_by(ModelRun.model, ModelRun.state)
    )
    for model, outcome, count, spent in rows:
        runs.add_metric([model, outcome], count)
        seconds.add_metric([model, outcome], spent)
    yield runs
    yield seconds


def _deliveries(session: Session) -> Iterator[Metric]:
    metric = GaugeMetricFamily(
        "sentinode_deliveries", "Results by destination and state", labels=["destination", "state"]
    )
    rows = session.execute(
        select(Delivery.destination, Delivery.state, func.count())
        .group_by(Delivery.destination, Delivery.state)
        .order_by(Delivery.destination, Delivery.state)
    )
    counts: dict[str, dict[str, int]] = {}
    for destination, state, count in rows:
        counts.setdefault(destination, dict.fromkeys(DELIVERY_STATES, 0))[state] = count
    # Nobody can retry what is left of a failed study that a person has removed.
    given_up = (
        select(Delivery.destination, Delivery.state, func.count())
        .join(Result, Result.id == Delivery.result_id)
        .join(Job, Job.id == Result.job_id)
        .where(Delivery.state.in_(OPEN), Job.state == REMOVED)
        .group_by(Delivery.destination, Delivery.state)
    )
    for destination, state, count in session.execute(given_up):
        counts[destination][state] -= count
    for destination, by_state in counts.items():
        # Every state is there, so that an alert on `dead` has a series from the first result on.
        for state, count in by_state.items():
            metric.add_metric([destination, state], count)
    yield metric


def _destinations(session: Session) -> Iterator[Metric]:
    metric = GaugeMetricFamily(
        "sentinode_destination_failing_seconds",
        "For how long a destination has not been reached; only those that are not",
        labels=["destination"],
    )
    now = datetime.now(UTC)
    for row in session.scalars(select(DestinationState).order_by(DestinationState.name)):
        since = row.failing_since or now
        metric.add_metric([row.name], (now - since).total_seconds())
    yield metric


def _commitments(session: Session) -> Iterator[Metric]:
    text = "Storage Commitment requests by state"
    metric = GaugeMetricFamily("sentinode_commitments", text, labels=["state"])
    by_state = select(Commitment.state, func.count()).group_by(Commitment.state)
    _add_all(metric, COMMITMENT_STATES, session.execute(by_state).all())
    yield metric


def _processes(session: Session) -> Iterator[Metric]:
    metric = GaugeMetricFamily(
        "sentinode_heartbeat_age_seconds", "Age of a role's latest heartbeat", labels=["role"]
    )
    now = datetime.now(UTC)
    rows = session.execute(
        select(Process.role, func.max(Process.beat_at)).group_by(Process.role).order_by("role")
    )
    for role, last in rows:
        metric.add_metric([role], (now - last).total_seconds())
    yield metric


_PARTS = (
    *(_states, _waiting, _received, _model_runs),
    *(_deliveries, _destinations, _commitments, _processes),
)


def _add_all(metric: GaugeMetricFamily, states: Iterable[str], rows: Sequence[Any]) -> None:
    counts = dict.fromkeys(states, 0) | dict(rows)
    for state, count in counts.items():
        metric.add_metric([state], count)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sentinode_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"sentinode_{name}", text, value=value)
