"""The command line `sentinode`.

Commands are plugged in by entry points (group `sentinode.commands`) and loaded only when they are
called: a receiver need not know what a web server is.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import click

from node.errors import SentinodeError

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
main.add_command(PluggedGroup(f"{GROUP}.db", name="db", help="The database."))
main.add_command(
    PluggedGroup(f"{GROUP}.models", name="models", help="Train, evaluate and export models.")
)
