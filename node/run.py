"""`sentinode run ROLE`: one process, as supervisors and containers start it."""

from __future__ import annotations

import sys
from importlib import import_module

import click

# They look at no pixel.
_WITHOUT_PIXELS = ("receive", "sweep")


@click.command()
@click.argument("role", type=click.Choice(["receive", "sweep", "web", "worker"]))
@click.option("--queue", default="leased.analysis,leased.delivery", help="Worker: its queues.")
@click.option(
    "--concurrency", type=click.IntRange(1), default=1, help="Worker: jobs at the same time."
)
def run(role: str, queue: str, concurrency: int) -> None:
    """Run one process: what supervisors and containers start."""
    if role in _WITHOUT_PIXELS:
        _do_without_numpy()
    import_module("node.roles").start(role, queue, concurrency)


def _do_without_numpy() -> None:
    """Keep pydicom from loading numpy and what hangs on it: 17 MB of a receiver.

    A module that is None is one that cannot be imported, and pydicom does without.
    """
    for name in ("numpy", "PIL"):
        if name not in sys.modules:
            sys.modules[name] = None  # type: ignore[assignment]
