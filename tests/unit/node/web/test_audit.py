"""Who looked at which study: what becomes a line of the log, and what does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from node.settings import Settings
from node.store.session import Store
from node.web.audit import REPEAT_SECONDS, AuditTrail
from tests.unit.node.web.conftest import Client
from tests.unit.node.web.login.known import READER, logged_in, write_accounts
from tests.unit.node.web.rows import add_study

Lines = Callable[[], list[dict[str, Any]]]

STUDY, OTHER = "1.2.840.1", "1.2.840.2"
IMAGE = f"/dicom-web/studies/{STUDY}/series/1.2/instances/1.3/frames/1"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return a function that gives the lines of the trail so far."""
    caplog.set_level(logging.INFO, logger="sentinode")
    return lambda: [vars(line) for line in caplog.records if hasattr(line, "shown")]


@pytest.fixture
def answering(client: Client) -> Iterator[Client]:
    """Return a client of the application, before an archive that has one study."""

    def archive(request: Request) -> PlainTextResponse:
        known = STUDY in str(request.url) or "studies/" not in str(request.url)
        return PlainTextResponse("", status_code=200 if known else 404)

    site = client.app.state.site
    transport = httpx.ASGITransport(Starlette(routes=[Route("/{path:path}", archive)]))
    there = httpx.AsyncClient(transport=transport, base_url="http://archive")
    client.app.state.site = replace(site, archive=there)
    yield client
    client.app.state.site = site


def _facts(lines: Lines) -> list[tuple[Any, ...]]:
    return [(line["message"], line.get("study_uid"), line["shown"]) for line in lines()]


def test_a_study_opened_names_who_from_where_and_the_standards_event(
    client: Client, store: Store, settings: Settings, lines: Lines
) -> None:
    """The account of the session, the host, and "DICOM Instances Accessed" (PS3.15 A.5.3.6)."""
    write_accounts(settings.web_accounts)
    add_study(store, uid=STUDY)
    session = logged_in(client, READER)
    assert client.get(f"/studies/{STUDY}", headers=session).status_code == 200
    (line,) = lines()
    keys = ("message", "event", "account", "peer_host", "study_uid")
    assert {key: line[key] for key in keys} == {
        "message": "study opened",
        "event": "DICOM Instances Accessed",
        "account": READER,
        "peer_host": "127.0.0.1",
        "study_uid": STUDY,
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/studies/{STUDY}", ("study opened", STUDY, "page")),
        (f"/api/studies/{STUDY}", ("study opened", STUDY, "status")),
        (IMAGE, ("study opened", STUDY, "archive")),
        (f"/dicom-web/studies?StudyInstanceUID={STUDY}", ("study opened", STUDY, "archive")),
        (f"/dicom-web/series?0020000D={STUDY}", ("study opened", STUDY, "archive")),
        ("/", ("study list seen", None, "page")),
        ("/api/studies?state=failed", ("study list seen", None, "status")),
        ("/dicom-web/studies?PatientName=DOE*", ("study list seen", None, "archive")),
    ],
)
def test_what_was_shown(
    answering: Client,
    store: Store,
    lines: Lines,
    path: str,
    expected: tuple[str, str | None, str],
) -> None:
    """Every way to a study, and every list; nothing of a patient is written."""
    add_study(store, uid=STUDY)
    assert answering.get(path).status_code == 200
    assert _facts(lines) == [expected]
    assert "DOE" not in str(lines())


@pytest.mark.parametrize(
    "path",
    [f"/studies/{OTHER}", f"/api/studies/{OTHER}", f"/dicom-web/studies/{OTHER}/metadata"],
)
def test_what_was_not_answered_was_not_seen(answering: Client, lines: Lines, path: str) -> None:
    """A study that is not there opens nothing."""
    assert answering.get(path).status_code == 404
    assert _facts(lines) == []


def test_what_the_gate_refused_was_not_seen(
    client: Client, store: Store, settings: Settings, lines: Lines
) -> None:
    """A stranger is sent to the login, and has seen nothing."""
    write_accounts(settings.web_accounts)
    add_study(store, uid=STUDY)
    assert client.get(f"/studies/{STUDY}").status_code == 401
    assert _facts(lines) == []


def test_no_study_and_no_list_is_no_line(answering: Client, lines: Lines) -> None:
    """Probes, metrics, style and the login say nothing of a patient."""
    for path in ("/health/live", "/metrics", "/static/sentinode.css", "/login", "/viewer"):
        answering.get(path)
    assert _facts(lines) == []


def test_a_viewers_requests_are_one_line_until_time_has_passed(
    lines: Lines,
) -> None:
    """Two hundred frames are one look; another study, account or quarter of an hour is another."""
    clock, names = [1000.0], ["rita"]
    inner = Starlette(routes=[Route("/{path:path}", lambda request: PlainTextResponse(""))])
    trail = AuditTrail(inner, lambda: clock[0])

    async def behind_the_gate(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["visitor"] = Named(names[0])
        await trail(scope, receive, send)

    client = Client(behind_the_gate)  # type: ignore[arg-type]  # any application will do
    for _ in range(200):
        client.get(IMAGE)
    assert len(_facts(lines)) == 1
    client.get(IMAGE.replace(STUDY, OTHER))
    names[0] = "olga"
    client.get(IMAGE)
    clock[0] += REPEAT_SECONDS
    client.get(IMAGE)
    assert [(line["account"], line["study_uid"]) for line in lines()] == [
        ("rita", STUDY),
        ("rita", OTHER),
        ("olga", STUDY),
        ("olga", STUDY),
    ]


class Named:
    """As much of a visitor as the trail reads."""

    def __init__(self, name: str) -> None:
        self.name = name
