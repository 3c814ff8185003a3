"""The Celery application: two tasks, each of which hands one job id to the pipeline.

A message is only a doorbell (`node.job`): it is acknowledged early, carries no result and is never
retried by Celery; leases and the sweeper see to it that nothing is lost.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from celery import Celery, bootsteps
from celery.signals import (
    setup_logging,
    worker_process_init,
    worker_shutting_down,
)

from node.identifiers import JobId
from node.job import ANALYSE_TASK, ANALYSIS_QUEUE, DELIVER_TASK, DELIVERY_QUEUE
from node.logs import configure_logs
from node.process import beat_until
from node.settings import Settings, load_settings
from node.store.session import open_store
from workers.pipeline import Pipeline, open_pipeline

# A study of 200 images on a slow CPU takes half of this.
TASK_SECONDS = 3600

# A worker proves with a fresh beat that it still runs; see node.health.
_stop = threading.Event()


def create_app(settings: Settings) -> Celery:
    """The application for these settings."""
    application = Celery("sentinode", broker=settings.broker_url)
    application.conf.update(
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_default_queue=ANALYSIS_QUEUE,
        task_routes={
            ANALYSE_TASK: {"queue": ANALYSIS_QUEUE},
            DELIVER_TASK: {"queue": DELIVERY_QUEUE},
        },
        worker_hijack_root_logger=False,
        # Else every line of ours would come as text, behind a time and a level of Celery's.
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        # The last resort against a decoder that never returns; the sweeper rings again.
        task_time_limit=TASK_SECONDS,
        event_queue_expires=60,
    )
    application.steps["worker"].add(Heartbeat)
    return application


class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Beats while the worker lives, also one that waits for a broker which was away at its start.

    Begun after the pool's processes, which are forked, and before the connection to the broker.
    """

    requires = ("celery.worker.components:Pool",)

    def start(self, _worker: Any) -> None:
        """Begin."""
        settings = load_settings()
        threading.Thread(
            target=beat_until,
            args=(_stop, open_store(settings), "worker", settings.beat_file),
            daemon=True,
        ).start()


app = create_app(load_settings())


@cache
def pipeline() -> Pipeline:
    """One pipeline per worker process, made at the first task (never before a fork)."""
    return open_pipeline(load_settings())


@app.task(name=ANALYSE_TASK)  # type: ignore[untyped-decorator]
def analyse(job_id: int) -> None:
    """Images of one job -> findings -> result objects."""
    pipeline().analyse(JobId(job_id))


@app.task(name=DELIVER_TASK)  # type: ignore[untyped-decorator]
def deliver(job_id: int) -> None:
    """Result objects of one job -> every destination."""
    pipeline().deliver(JobId(job_id))


@setup_logging.connect  # type: ignore[untyped-decorator]
def _configure_parent(**_: object) -> None:
    configure_logs(load_settings().log_level)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _configure_child(**_: object) -> None:
    configure_logs(load_settings().log_level)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop_beating(**_: object) -> None:
    _stop.set()
