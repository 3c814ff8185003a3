"""`sentinode run ROLE`: one process, as supervisors and containers start it.

What a role needs is imported when it is known: that is half of a receiver's memory and most of its
time to start.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from node.logs import configure_logs
from node.process import stop_on_signals
from node.settings import Settings, load_settings
from node.store.version import require_migrated

_LOOPS = {"receive": ("node.receive", "run_receiver"), "sweep": ("node.sweep", "run_sweeper")}


@click.command()
@click.argument("role", type=click.Choice(["receive", "sweep", "web", "worker"]))
@click.option("--queue", default="leased.analysis,leased.delivery", help="Worker: its queues.")
@click.option("--concurrency", type=int, default=1, help="Worker: jobs at the same time.")
def run(role: str, queue: str, concurrency: int) -> None:
    """Run one process: what supervisors and containers start."""
    settings = load_settings()
    configure_logs(settings.log_level)
    require_migrated(settings)
    if role == "worker":
        _become_worker(queue, concurrency)
    elif role == "web":
        _serve(settings)
    else:
        _do_without_numpy()
        module, name = _LOOPS[role]
        getattr(import_module(module), name)(settings, stop_on_signals())


def _do_without_numpy() -> None:
    """Keep pydicom from loading numpy and what hangs on it: 17 MB for pixels nobody looks at.

    A module that is None is one that cannot be imported, and pydicom does without.
    """
    for name in ("numpy", "PIL"):
        if name not in sys.modules:
            sys.modules[name] = None  # type: ignore[assignment]


def _serve(settings: Settings) -> None:
    import_module("uvicorn").run(
        "node.serve:application",
        factory=True,
        host=settings.http_host,
        port=settings.http_port,
        log_level="warning",
        timeout_graceful_shutdown=5,
    )


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
