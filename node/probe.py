"""`sentinode probe ROLE`: is the process of this role in this container at work? For health checks.

In: a port of this host, or the file that the process touches at every heartbeat. Out: exit status
0, or 1 and one line that says what is wrong. What must hold: it asks the process itself and no
peer, so that a database which is away restarts nothing; and it is light, since it runs several
times a minute beside every process: of the settings it looks at ports alone, and nothing big is
imported.
"""

from __future__ import annotations

import os
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
# What the settings take for no.
_NO = {"0", "off", "f", "false", "n", "no"}


@click.command(short_help="Is the process of this role in this container at work?")
@click.argument("role", type=click.Choice(["receive", "sweep", "web", "worker"]))
@click.option("--port", type=int, help="Of receive or web; else that of the settings.")
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
    wrong = web_fault(port or _web_port()) if role == "web" else beat_fault(beat_file)
    if wrong is None and role == "receive":
        wrong = listener_fault(port or _dicom_port())
    if wrong is not None:
        click.echo(wrong, err=True)
        sys.exit(1)


def _dicom_port() -> int:
    """Where the listener speaks TLS alone there is no other port."""
    plain = os.environ.get("SENTINODE_DICOM_PLAIN", "").lower() not in _NO
    name = "SENTINODE_DICOM_PORT" if plain else "SENTINODE_DICOM_TLS_PORT"
    return int(os.environ.get(name) or 11112)


def _web_port() -> int:
    return int(os.environ.get("SENTINODE_HTTP_PORT") or 8080)


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
