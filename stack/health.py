"""Asks every part of the stack whether it does its work; waits until all do.

What must hold: a part counts as up when it answers in its own protocol, not when its process
exists; a part that keeps ending is named at once, with its log, instead of after the time-out.
"""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import select

from node.errors import SentinodeError
from node.health import FRESH_SECONDS
from node.settings import Settings
from node.store.session import open_store
from node.store.tables import Process
from stack import supervisor
from stack.state import DEMO_MODALITY, StateDir

PROBE_SECONDS = 2.0  # one question to one part on this machine
POLL_SECONDS = 0.5
# Triton loads the models one after the other: 20 s on two quiet cores, much more on busy ones.
START_SECONDS = 180.0
# A program started more often than this during one start of the stack does not come up.
GIVE_UP_STARTS = 3


class PartFailedError(SentinodeError):
    """A part of the stack does not come up; the text names it and its log."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part as people know it: its program, where it listens, how to ask it."""

    program: str
    title: str
    address: str
    answers: Callable[[], bool]


def parts(settings: Settings) -> list[Part]:
    """Return the parts of the stack in the order in which they come up."""
    host = "127.0.0.1"
    triton = f"http://{host}:{settings.triton_http_port}"
    orthanc_address = f"{settings.orthanc} and DICOM port {settings.orthanc_dicom_port}"
    return [
        Part("redis", "broker", f"{host}:{settings.redis_port}", lambda: _redis(settings)),
        Part("orthanc", "archive", orthanc_address, lambda: _http(f"{settings.orthanc}/system")),
        Part("triton", "models", settings.triton_url, lambda: models_ready(triton)),
        Part(
            "receive",
            "receiver",
            _listener(settings, host),
            partial(_receives, settings),
        ),
        *(
            Part(program, title, "", partial(_beats, settings, program))
            for program, title in (
                ("sweep", "sweeper"),
                ("worker-analysis", "analysis"),
                ("worker-delivery", "delivery"),
            )
        ),
        Part(
            "web",
            "dashboard",
            f"http://{host}:{settings.http_port}",
            lambda: _http(f"http://{host}:{settings.http_port}/health/live"),
        ),
    ]


def wait(
    settings: Settings,
    seen: Callable[[Part, bool], None],
    timeout_seconds: float = START_SECONDS,
) -> None:
    """Return once every part answers. `seen` is told of each part asked, and what it said.

    Raises PartFailedError.
    """
    state = StateDir(settings.state_dir)
    waiting = parts(settings)
    starts: dict[str, set[int]] = defaultdict(set)
    deadline = time.monotonic() + timeout_seconds
    while waiting:
        still: list[Part] = []
        for part in waiting:
            up = part.answers()
            seen(part, up)
            if not up:
                still.append(part)
        waiting = still
        if waiting:
            _give_up_on_failures(state, starts)
            if time.monotonic() > deadline:
                raise _failure(state, waiting[0].program, f"silent for {timeout_seconds:.0f} s")
            time.sleep(POLL_SECONDS)


def _listener(settings: Settings, host: str) -> str:
    if settings.dicom_plain:
        return f"{settings.ae_title}@{host}:{settings.dicom_port}"
    return f"{settings.ae_title}@{host}:{settings.dicom_tls_port} (TLS)"


def _receives(settings: Settings) -> bool:
    """By a C-ECHO; with TLS alone, which may want a client's certificate, by its heartbeat."""
    if settings.dicom_plain:
        return echo(settings.ae_title, settings.dicom_port)
    return _beats(settings, "receive")


def models_ready(url: str) -> bool:
    """Whether Triton is up and every model of its repository is loaded."""
    index = models(url)
    return bool(index) and all(state == "READY" for state in index.values())


def models(url: str) -> Mapping[str, str]:
    """The models of the repository and their states; empty while Triton does not answer."""
    try:
        answer = _ask("POST", f"{url}/v2/repository/index")
    except httpx.TransportError:
        return {}
    if answer.status_code != httpx.codes.OK:
        return {}
    return {row["name"]: row.get("state", "UNAVAILABLE") for row in answer.json()}


def echo(called: str, port: int) -> bool:
    """Whether a DICOM listener answers: C-ECHO, or at least a proper rejection."""
    try:
        # pynetdicom leaks the socket of a connection that is refused.
        socket.create_connection(("127.0.0.1", port), PROBE_SECONDS).close()
    except OSError:
        return False
    entity = AE(DEMO_MODALITY)
    entity.add_requested_context(Verification)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = PROBE_SECONDS
    association = entity.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return bool(association.is_rejected)
    answer = association.send_c_echo()
    association.release()
    return "Status" in answer


def _http(url: str) -> bool:
    try:
        return _ask("GET", url).status_code < httpx.codes.INTERNAL_SERVER_ERROR
    except httpx.TransportError:
        return False


def _ask(method: str, url: str) -> httpx.Response:
    """Past the proxy of the environment, which knows no process of this machine."""
    return httpx.request(method, url, timeout=PROBE_SECONDS, trust_env=False)


def _redis(settings: Settings) -> bool:
    try:
        with Redis.from_url(settings.broker_url, socket_timeout=PROBE_SECONDS) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _beats(settings: Settings, program: str) -> bool:
    """Whether the loop of this very process has written a heartbeat (`node.process`)."""
    process_id = supervisor.processes(StateDir(settings.state_dir))[program].process_id
    store = open_store(settings)
    try:
        with store.reading() as session:
            name = Process.name.endswith(f"@{socket.gethostname()}:{process_id}")
            beat = select(Process.beat_at).where(name)
            beat_at = session.scalar(beat)
    finally:
        store.close()
    return beat_at is not None and datetime.now(UTC) - beat_at < timedelta(seconds=FRESH_SECONDS)


def _give_up_on_failures(state: StateDir, starts: Mapping[str, set[int]]) -> None:
    """Raise PartFailedError for a program that supervisord starts again and again."""
    for program, found in supervisor.processes(state).items():
        if found.process_id:
            starts[program].add(found.process_id)
        if len(starts[program]) > GIVE_UP_STARTS or found.state == "FATAL":
            raise _failure(state, program, "keeps ending")


def _failure(state: StateDir, program: str, what: str) -> PartFailedError:
    log = state.log(program)
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return PartFailedError("\n".join([f"{program} {what}; see {log}", *said.splitlines()[-5:]]))
