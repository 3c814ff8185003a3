"""The sweeper: completes studies whose deadline passed, rings jobs whose message was lost.

In: the clock and the database. Out: Celery messages, Storage Commitment reports, prior studies, and
studies that are kept no longer. It holds no state of its own, so any number may run and each may
die at any moment.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import SQLAlchemyError

from node.clock import bring_back
from node.commitment.callback import report_until
from node.commitment.provider import Archive
from node.completion import complete_due
from node.doorbell import Doorbell
from node.job import (
    ANALYSIS_QUEUE,
    DELIVERING,
    DELIVERY_QUEUE,
    QUEUED,
    RUNNING,
    Bell,
    bell_of,
    is_unrung,
    utc_now,
)
from node.logs import log
from node.peers import load_peers
from node.priors.rules import PriorRule, load_priors
from node.priors.sources import start_sources
from node.process import beat_until, stopped
from node.retention.clock import SteadyClock
from node.retention.expiry import Expiry, expire_until
from node.retention.removal import Rule
from node.routes import Routes, load_routes
from node.settings import Settings
from node.store.files import Files
from node.store.session import Store, open_store
from node.store.tables import Job

_QUEUES = {ANALYSIS_QUEUE: (QUEUED, RUNNING), DELIVERY_QUEUE: (DELIVERING,)}
# More than workers empty between two looks. Ringing takes 4 ms, and studies wait meanwhile.
_MOST_BELLS = 250


def run_sweeper(settings: Settings, stop: threading.Event) -> None:
    """Sweep until `stop` is set."""
    store, routes, doorbell = open_store(settings), load_routes(settings.routes), Doorbell(settings)
    beating = (stop, store, "sweep", settings.beat_file)
    threading.Thread(target=beat_until, args=beating, daemon=True).start()
    peers = load_peers(settings.peers)
    archive = Archive(settings, store, Files(settings.state_dir), peers)
    # Of its own: a peer that does not answer must not hold up a study.
    threading.Thread(target=report_until, args=(stop, archive), daemon=True).start()
    # The same: a backlog of files to delete must not either.
    rule = Rule(settings.keep_days)
    clock = SteadyClock(store).now if rule.days else utc_now
    expiry = Expiry(store, Files(settings.state_dir), rule, clock)
    removing = (stop, expiry, settings.sweep_seconds)
    threading.Thread(target=expire_until, args=removing, daemon=True).start()
    priors = load_priors(settings.priors, peers)
    start_sources(priors, peers, settings, store, stop)
    while not stopped(stop, settings.sweep_seconds):
        try:
            sweep(store, routes, doorbell, settings, priors)
        except SQLAlchemyError as error:
            reason = str(error).splitlines()[0]
            log.error("database error; sweeping again soon", extra={"reason": reason})
    doorbell.close()
    store.close()


def sweep(
    store: Store,
    routes: Routes,
    doorbell: Doorbell,
    settings: Settings,
    priors: Sequence[PriorRule] = (),
) -> None:
    """One round."""
    bring_back(store, settings)
    bells = complete_due(store, routes, priors=priors)
    bells += _lost_bells(store, doorbell, settings)
    for bell in bells:
        # Each call to a broker that is away costs seconds; the next round will ring the rest.
        if not doorbell.ring(bell):
            break


def _lost_bells(store: Store, doorbell: Doorbell, settings: Settings) -> list[Bell]:
    """Bells of waiting jobs that have no message in the broker any more.

    While a queue holds at least as many messages as jobs wait for it, workers are merely busy;
    ringing again would only make the queue longer. Of a large backlog the first are enough.
    """
    lost: list[Bell] = []
    for queue, states in _QUEUES.items():
        unrung = is_unrung(states, settings)
        with store.reading() as session:
            count = len(session.scalars(select(Job.id).where(unrung).limit(_MOST_BELLS)).all())
        waiting = doorbell.waiting(queue) if count else None
        if waiting is not None and waiting < count:
            lost += _marked(store, unrung)
    return lost


def _marked(store: Store, unrung: ColumnElement[bool]) -> list[Bell]:
    """Those that were rung longest ago, marked as rung now; none that somebody is writing to."""
    first = select(Job).where(unrung).order_by(Job.rung_at.asc().nulls_first(), Job.due_at)
    with store.writing() as session:
        jobs = session.scalars(first.limit(_MOST_BELLS).with_for_update(skip_locked=True)).all()
        for job in jobs:
            job.rung_at = utc_now()
        return [bell_of(job) for job in jobs]
