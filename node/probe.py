"""`sentinode probe ROLE`: is the process of this role in this container at work? For health checks.

In: a port of this host, or the file that the process touches at every heartbeat. Out: exit status
0, or 1 and one line that says what is wrong. What must hold: it asks the process itself and no
peer, so that a database which is away restarts nothing; and it is light, since it runs several
times a minute beside every process: no settings are read, nothing big is imported.
"""

from __future__ import annotations

import socket
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click

# Loops beat every 5 s. A worker that computes on a loaded machine may miss some.
_FRESH_SECONDS = 60.0
_ANSWER_SECONDS = 5.0
_HOST = "127.0.0.1"


@click.command(short_help="Is the process of this role in this container at work?")
@click.argument("role", type=click.Choice(["receive", "sweep", "web", "worker"]))
@click.option("--port", type=int, help="Of receive (11112) or web (8080).")
@click.option(
    "--file",
    "beat_file",
    type=click.Path(path_type=Path),
    default=Path("/tmp/sentinode.beat"),  # noqa: S108  # a container's own
    show_default=True,
    help="The process's SENTINODE_BEAT_FILE (all but web).",
)
def probe(role: str, port: int | None, beat_file: Path) -> None:
    """Say whether the process of this role in this container is at work."""
    wrong = web_fault(port or 8080) if role == "web" else beat_fault(beat_file)
    if wrong is None and role == "receive":
        wrong = listener_fault(port or 11112)
    if wrong is not None:
        click.echo(wrong, err=True)
        sys.exit(1)


def listener_fault(port: int) -> str | None:
    """Whether the listener accepts connections; an association would be logged every time."""
    try:
        socket.create_connection((_HOST, port), _ANSWER_SECONDS).close()
    except OSError as error:
        return f"no DICOM listener on port {port} ({error.strerror or error})"
    return None


def web_fault(port: int) -> str | None:
    """Whether the web process answers."""
    connection = HTTPConnection(_HOST, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/live")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"no web process on port {port} ({type(error).__name__})"
    finally:
        connection.close()
    return None if status == 200 else f"the web process answers with status {status}"


def beat_fault(beat_file: Path) -> str | None:
    """Whether the process's loop has turned lately."""
    try:
        age_seconds = time.time() - beat_file.stat().st_mtime
    except OSError as error:
        return f"no heartbeat yet: {beat_file} ({error.strerror})"
    return None if age_seconds < _FRESH_SECONDS else f"last heartbeat {age_seconds:.0f} s ago"
