"""The gate: what is open, who may look, who may change, and what a node without accounts does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.routing import Route

from node.settings import Settings, load_settings
from node.store.migrate import upgrade
from node.web.app import create_app
from tests.unit.node.web.conftest import Client
from tests.unit.node.web.login.known import (
    OPERATOR,
    PAGE,
    READER,
    SAME_ORIGIN,
    account,
    logged_in,
    write_accounts,
)
from tests.unit.node.web.rows import add_study, source_uid

OPEN = {"/health/live", "/health/startup", "/health/ready", "/metrics", "/login"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a process for a network, with a viewer of two files."""
    settings = load_settings(
        state_dir=tmp_path / "state",
        ohif_dir=tmp_path / "ohif",
        http_host="0.0.0.0",
        min_free_bytes=0,
    )
    upgrade(settings)
    settings.ohif_dir.mkdir()
    for name in ("index.html", "app.bundle.0123.js"):
        (settings.ohif_dir / name).write_text(f"OHIF {name}")
    return settings


@pytest.fixture
def network(settings: Settings) -> Iterator[Client]:
    """Return a client of it."""
    door = APIRouter()
    door.add_api_route("/dicom-web/studies", lambda: {"stored": True}, methods=["POST"])
    app = create_app(settings, doors=[door])
    yield Client(app)
    app.state.site.store.close()


def _paths(client: Client) -> set[str]:
    """Every path that the application answers to GET, with an example for each variable."""
    uid, image = "1.2.3", source_uid()
    found = {"/static/sentinode.css", "/app.bundle.0123.js", "/dicom-web/studies"}
    for outer in client.app.routes:
        # Newer versions of FastAPI keep a router that is included as one.
        inner = getattr(outer, "original_router", None)
        for route in inner.routes if inner else [outer]:
            if isinstance(route, Route):
                path = route.path.replace("{study_uid}", uid).replace("{name}", image)
                found.add(path.replace("{resource:path}", "studies").replace("{inner:path}", "x"))
    return found


def test_everything_needs_a_login_but_what_is_named(network: Client, settings: Settings) -> None:
    """Every route there is, also one that somebody adds: 401 for programs, the form for people."""
    write_accounts(settings.web_accounts)
    paths = _paths(network)
    assert {"/", "/viewer", "/app-config.js", "/studies/1.2.3", "/api/studies"} <= paths
    for path in paths - OPEN - {"/static/sentinode.css", "/logout"}:
        assert network.get(path).status_code == 401, path
        page = network.get(path, headers=PAGE)
        programs = path.startswith(("/api/", "/dicom-web/"))
        assert page.status_code == (401 if programs else 303), path
        assert network.ask("HEAD", path).status_code == 401
    for path in OPEN | {"/static/sentinode.css", "/static/refresh.js"}:
        assert network.get(path).status_code in (200, 503), path


@pytest.mark.parametrize(
    "path",
    [
        *("/static/../studies/1.2.3", "/static/%2e%2e/api/studies", "//api/studies", "/health"),
        *("/metrics/", "/METRICS", "/health/../api/studies", "/login/../api/studies", "/login/"),
        *("/health/../index.html", "/health/%2e%2e/app.bundle.0123.js", "/metrics/../index.html"),
        *("/%2fapi/studies", "/static", "/loginx", "/api/studies/", "/dicom-web/studies/"),
    ],
)
def test_no_spelling_gets_round(network: Client, settings: Settings, path: str) -> None:
    """Neither dots nor slashes nor capitals lead past the gate to a study."""
    write_accounts(settings.web_accounts)
    add_study(network.app.state.site.store, uid="1.2.3")
    answer = network.get(path)
    assert answer.status_code in (307, 401, 404)
    assert "1.2.3" not in answer.text
    assert "OHIF" not in answer.text


def test_people_and_programs_with_a_session(network: Client, settings: Settings) -> None:
    """Pages, API, viewer and its files open; what is not there is 404 as before."""
    write_accounts(settings.web_accounts)
    uid = add_study(network.app.state.site.store)
    session = logged_in(network, READER)
    for path in ("/", f"/studies/{uid}", "/api/studies", "/viewer", "/app.bundle.0123.js"):
        assert network.get(path, headers=session).status_code == 200, path
    assert network.get("/nowhere", headers=session).status_code == 404


def test_reader_looks_and_changes_nothing(network: Client, settings: Settings) -> None:
    """No button on the page, 403 without it, and the study stays as it was."""
    write_accounts(settings.web_accounts)
    uid = add_study(network.app.state.site.store, state="failed", delivery_state="refused")
    reader, operator = logged_in(network, READER), logged_in(network, OPERATOR)
    assert "Retry" not in network.get(f"/studies/{uid}", headers=reader).text
    assert "Retry" in network.get(f"/studies/{uid}", headers=operator).text
    for path in (f"/studies/{uid}/retry", f"/api/studies/{uid}/retry"):
        refused = network.ask("POST", path, headers={**SAME_ORIGIN, **reader})
        assert refused.status_code == 403
        assert "may look" in refused.text
    for method in ("POST", "PUT", "DELETE", "PATCH", "ANYTHING"):
        assert network.ask(method, "/api/studies", headers=reader).status_code == 403
    assert network.get(f"/api/studies/{uid}", headers=reader).json()["state"] == "failed"
    headers = {**SAME_ORIGIN, **operator}
    assert network.ask("POST", f"/studies/{uid}/retry", headers=headers).status_code == 303
    assert network.get(f"/api/studies/{uid}", headers=reader).json()["state"] == "delivering"


def test_an_operator_is_guarded_against_other_sites(network: Client, settings: Settings) -> None:
    """The cookie alone does not make a change that another site asks for."""
    write_accounts(settings.web_accounts)
    uid = add_study(network.app.state.site.store, state="failed", delivery_state="refused")
    headers = {**logged_in(network, OPERATOR), "origin": "http://evil.example"}
    assert network.ask("POST", f"/studies/{uid}/retry", headers=headers).status_code == 403
    assert "failed" in network.get(f"/api/studies/{uid}", headers=headers).text


def test_changes_of_an_account_end_its_sessions(network: Client, settings: Settings) -> None:
    """Another role and removal are in force with the next request."""
    write_accounts(settings.web_accounts)
    session = logged_in(network, READER)
    raised = account(READER).line.replace(":reader:", ":operator:")
    write_accounts(settings.web_accounts, raised)
    assert network.get("/api/studies", headers=session).status_code == 401
    session = logged_in(network, READER)
    write_accounts(settings.web_accounts, account(OPERATOR).line)
    assert network.get("/api/studies", headers=session).status_code == 401


@pytest.mark.parametrize("name", ["web_accounts_file", "web_admin_password_file", None])
def test_network_without_accounts_sees_nothing(
    settings: Settings, tmp_path: Path, name: str | None
) -> None:
    """503 with the line to type, on pages and API; probes and metrics answer."""
    more: dict[str, Any] = {name: tmp_path / "missing"} if name else {}
    closed = Client(create_app(settings.model_copy(update=more)))
    for path in ("/", "/api/studies", "/dicom-web/studies", "/viewer", "/login"):
        answer = closed.get(path, headers=PAGE)
        assert answer.status_code == 503, path
        assert "sentinode account NAME --role operator" in answer.text
    assert closed.get("/health/live").status_code == 200
    assert closed.get("/metrics").status_code == 200
    closed.app.state.site.store.close()


def test_doors_have_guards_of_their_own(network: Client) -> None:
    """STOW-RS asks for its token; asking for studies on the same path is behind the login."""
    assert network.ask("POST", "/dicom-web/studies").json() == {"stored": True}
    assert network.get("/dicom-web/studies").status_code == 503
    assert network.ask("POST", "/dicom-web/studies/1.2.3/series").status_code == 503


def test_this_machine_needs_no_account(settings: Settings) -> None:
    """As long as nobody has made one: `make demo` shows its pages at once."""
    app = create_app(settings.model_copy(update={"http_host": "127.0.0.1"}))
    add_study(app.state.site.store, state="failed", uid="1.2.3")
    assert "Log out" not in Client(app).get("/").text
    assert "Retry" in Client(app).get("/studies/1.2.3").text
    assert Client(app).get("/login").headers["location"] == "/"
    app.state.site.store.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "10.0.0.7"},
        {"x-forwarded-proto": "https"},
        {"forwarded": "for=10.0.0.7"},
        {"via": "1.1 proxy"},
        {"x-real-ip": "10.0.0.7"},
    ],
)
def test_a_proxy_on_this_machine_is_not_this_machine(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    """What comes through it comes from a network, and needs an account."""
    app = create_app(load_settings(state_dir=tmp_path, http_names="node.example"))
    assert Client(app).get("/api/studies", headers=headers).status_code == 503
    answer = Client(app).get("/api/studies", headers={"host": "Node.example:443"})
    assert answer.status_code == 503
    assert Client(app).get("/", headers={"host": "other.example"}).status_code == 421
    app.state.site.store.close()


def test_an_account_closes_this_machine_too(tmp_path: Path) -> None:
    """Who makes accounts wants a login, on loopback as well."""
    settings = load_settings(state_dir=tmp_path)
    app = create_app(settings)
    assert Client(app).get("/api/studies").status_code in (200, 503)
    write_accounts(settings.web_accounts)
    assert Client(app).get("/api/studies").status_code == 401
    app.state.site.store.close()


def test_a_key_that_cannot_be_read_is_said_plainly(settings: Settings, tmp_path: Path) -> None:
    """503 and a log line, not a traceback; nobody comes in."""
    write_accounts(settings.web_accounts)
    more = {"web_session_key_file": tmp_path / "missing"}
    closed = Client(create_app(settings.model_copy(update=more)))
    assert closed.get("/api/studies").status_code == 503
    assert closed.get("/health/live").status_code == 200
    closed.app.state.site.store.close()
