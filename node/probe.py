"""`sentinode probe ROLE`: is the process of this role on this host at work? For health checks.

In: the settings of the container. Out: exit status 0, or 1 and one line that says what is wrong.
What must hold: it asks the process itself, never a peer (a database that is away must not restart
receivers), except for the heartbeat, which is only there to be read in the database; and it is
light, since it runs four times a minute beside every process.
"""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException

import click
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from node.settings import Settings, load_settings
from node.store.session import open_store
from node.store.tables import Process

# Loops beat every 5 s. A worker that computes on a loaded machine may miss some.
_FRESH_SECONDS = 60.0
_ANSWER_SECONDS = 5.0


@click.command()
@click.argument("role", type=click.Choice(["receive", "sweep", "web", "worker"]))
def probe(role: str) -> None:
    """Say whether the process of this role on this host is at work (health checks)."""
    settings = load_settings()
    wrong = {"receive": _receiver, "web": _web}.get(role, _heartbeat)(settings, role)
    if wrong:
        click.echo(wrong, err=True)
        sys.exit(1)


def _receiver(settings: Settings, _role: str) -> str | None:
    """The listener accepts connections; an association would be logged at every probe."""
    port = settings.dicom_port if settings.dicom_plain else settings.dicom_tls_port
    try:
        socket.create_connection((_own(settings.dicom_host), port or 0), _ANSWER_SECONDS).close()
    except OSError as error:
        return f"no DICOM listener on port {port} ({error.strerror or error})"
    return None


def _web(settings: Settings, _role: str) -> str | None:
    """The web process answers."""
    host = _own(settings.http_host)
    connection = HTTPConnection(host, settings.http_port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/live")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"no web process on port {settings.http_port} ({type(error).__name__})"
    finally:
        connection.close()
    return None if status == 200 else f"the web process answers with status {status}"


def _heartbeat(settings: Settings, role: str) -> str | None:
    """A process of this host has beaten lately; without a database nobody can tell."""
    store = open_store(settings)
    here = Process.name.startswith(f"{role}@{socket.gethostname()}:", autoescape=True)
    try:
        with store.reading() as session:
            last = session.scalar(select(func.max(Process.beat_at)).where(here))
    except SQLAlchemyError:
        return None
    finally:
        store.close()
    if last is None:
        return f"no {role} of this host has beaten yet"
    age_seconds = (datetime.now(UTC) - last).total_seconds()
    return None if age_seconds < _FRESH_SECONDS else f"last beat {age_seconds:.0f} s ago"


def _own(host: str) -> str:
    """The address at which a process on this host reaches a listener bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
