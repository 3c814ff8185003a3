"""The command line `sentinode`.

Commands of the node are here; those of the other packages are plugged in by entry points (group
`sentinode.commands`), and are loaded only when they are called.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points
from typing import Any

import click
import uvicorn

from node.commands import retry, send, status
from node.errors import SentinodeError
from node.logs import configure_logs
from node.process import stop_on_signals
from node.receive import run_receiver
from node.settings import load_settings
from node.store.migrate import require_migrated, upgrade
from node.sweep import run_sweeper

GROUP = "sentinode.commands"


class PluggedGroup(click.Group):
    """A group that finds its other commands by entry point, and prints known errors plainly."""

    def __init__(self, group: str, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._entries = {entry.name: entry for entry in entry_points(group=group)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted; nothing is loaded for that."""
        return sorted({*super().list_commands(ctx), *self._entries})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, loaded now."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        try:
            command: click.Command = entry.load()
        except ImportError as error:
            return _unavailable(cmd_name, error)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error made by us is one line, not a traceback."""
        try:
            return super().invoke(ctx)
        except SentinodeError as error:
            raise click.ClickException(str(error)) from error


def _unavailable(name: str, error: ImportError) -> click.Command:
    reason = f"needs a package that is not installed here ({error.name}); see README.md, extras"

    def explain() -> None:
        raise click.ClickException(f"`{name}` {reason}")

    return click.Command(name, callback=explain, help=reason)


main = PluggedGroup(GROUP, name="sentinode", help="A PACS inference node for breast imaging.")
main.add_command(
    PluggedGroup(f"{GROUP}.models", name="models", help="Train, evaluate and export models.")
)
for _command in (send, status, retry):
    main.add_command(_command)


@main.command()
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
        uvicorn.run(
            "node.serve:application",
            factory=True,
            host=settings.http_host,
            port=settings.http_port,
            log_level="warning",
            timeout_graceful_shutdown=5,
        )
    else:
        process = {"receive": run_receiver, "sweep": run_sweeper}[role]
        process(settings, stop_on_signals())


@main.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Create or migrate the tables."""
    click.echo(f"database is at migration {upgrade(load_settings())}")


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
