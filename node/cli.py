"""The command line `sentinode`.

Commands are plugged in by entry points (group `sentinode.commands`) and loaded only when they are
called: a receiver need not know what a web server is.
"""

from __future__ import annotations

import errno
import sys
from importlib.metadata import entry_points
from io import TextIOWrapper
from typing import Any

import click

from node.errors import SentinodeError

GROUP = "sentinode.commands"

# Of a name that cannot be shown whole, characters around the wrong one.
_SHOWN = 20
_RIGHTS = "let the account that runs this read and write it, or name another"
_ROOM = "make room there, or name a folder on another disk"
# What helps against what the operating system refused, where that is not plain.
_ADVICE = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "name a folder that can be written",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.ENOTDIR: "name a folder",
    errno.EEXIST: "name a folder",
    errno.EISDIR: "name a file",
}


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
        """Run the command; an error made by us or by the system is one line, not a traceback."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                # A terminal without "mm²" shows an escape instead of ending the command.
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except SentinodeError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            refused = _of_the_system(error)
            # EPIPE: who read our output has gone, and click ends quietly.
            if refused is None or refused.errno == errno.EPIPE:
                raise
            raise click.ClickException(_told(refused)) from error
        except UnicodeEncodeError as error:
            # A path or an argument in another encoding, as an old disk's name may be.
            named = error.object[max(0, error.start - _SHOWN) : error.end + _SHOWN]
            said = f"{named!a} is not text in UTF-8; use another name"
            raise click.ClickException(said) from error
        except ModuleNotFoundError as error:
            # Commands such as `models train` load what is heavy only when they are run.
            raise click.ClickException(_missing(error)) from error


def _of_the_system(error: BaseException | None) -> OSError | None:
    """The error that has the system's number: pydicom raises one of its own in its place."""
    while error is not None and not (isinstance(error, OSError) and error.errno):
        error = error.__cause__ or error.__context__
    return error


def _told(error: OSError) -> str:
    """What the operating system did not do, and what helps."""
    named = "" if error.filename is None else f"{click.format_filename(error.filename)}: "
    advice = _ADVICE.get(error.errno or 0)
    return f"{named}{error.strerror}{f'; {advice}' if advice else ''}"


def _unavailable(name: str, error: ImportError) -> click.Command:
    reason = _missing(error)

    def explain() -> None:
        raise click.ClickException(reason)

    return click.Command(name, callback=explain, help=reason)


def _missing(error: ImportError) -> str:
    """The base installation has not what workers and training need."""
    return (
        f"this needs a Python package that is not installed here, {error.name}; in a checkout "
        "`scripts/python-packages.sh test` installs all"
    )


main = PluggedGroup(GROUP, name="sentinode", help="A PACS inference node for breast imaging.")
click.version_option(package_name="sentinode", message="%(prog)s %(version)s")(main)
main.add_command(PluggedGroup(f"{GROUP}.db", name="db", help="The database."))
main.add_command(
    PluggedGroup(f"{GROUP}.models", name="models", help="Train, evaluate and export models.")
)
