"""The roles of a process, and what each needs; imported when the role is known.

That is half of a receiver's memory and most of its time to start.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from node.errors import ConfigurationError
from node.logs import configure_logs, log
from node.process import stop_on_signals
from node.settings import Settings, load_settings, unknown_variables
from node.store.version import require_migrated

_LOOPS = {"receive": ("node.receive", "run_receiver"), "sweep": ("node.sweep", "run_sweeper")}


def start(role: str, queue: str, concurrency: int) -> None:
    """Be this process until it is told to end. Raises ConfigurationError."""
    settings = load_settings()
    configure_logs(settings.log_level)
    for name, similar in unknown_variables().items():
        facts = {"variable": name} | ({"did_you_mean": similar} if similar else {})
        log.warning("unknown setting is ignored", extra=facts)
    require_migrated(settings)
    if role == "worker":
        _check_worker(settings, queue)
        _become_worker(queue, concurrency)
    elif role == "web":
        _serve(settings)
    else:
        module, name = _LOOPS[role]
        getattr(import_module(module), name)(settings, stop_on_signals())


def _serve(settings: Settings) -> None:
    import_module("uvicorn").run(
        "node.serve:application",
        factory=True,
        host=settings.http_host,
        port=settings.http_port,
        http=import_module("node.web.connections").Connection,
        # Else uvicorn takes them from a variable of its own, which no page of ours tells of.
        forwarded_allow_ips=list(settings.http_trusted_proxies),
        # Nothing here speaks it, whatever packages are beside.
        ws="none",
        # See `configure_logs`; its access log would hold the names that are searched for.
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )


def _check_worker(settings: Settings, queue: str) -> None:
    """Refuse at the start what would else fail study by study. Raises ConfigurationError."""
    job = import_module("node.job")
    known = (job.ANALYSIS_QUEUE, job.DELIVERY_QUEUE)
    if unknown := [name for name in queue.split(",") if name not in known]:
        raise ConfigurationError(
            f"nobody rings for a queue {', '.join(map(repr, unknown))}; --queue takes "
            f"{' or '.join(known)}, or both with a comma between"
        )
    import_module("node.destinations").load_destinations(settings.destinations)


def _become_worker(queue: str, concurrency: int) -> None:
    # Which code a worker runs is Celery's to import: this process becomes Celery.
    os.execv(  # noqa: S606  # an argv list, no shell
        sys.executable,
        [
            *(sys.executable, "-m", "celery", "--app", "workers.app", "worker"),
            *("--queues", queue, "--concurrency", str(concurrency)),
            *("--without-gossip", "--without-mingle", "--loglevel", "WARNING"),
            *("--hostname", f"{queue.replace(',', '+')}-{os.getpid()}@%h"),
        ],
    )
