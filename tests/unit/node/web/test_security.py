"""Who may reach the pages, what a page may load, and who may change something."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request

from node.settings import load_settings
from node.web import studies
from node.web.app import create_app
from node.web.security import came_through_proxy, host_name, is_loopback
from tests.unit.node.web.conftest import Client
from tests.unit.node.web.rows import add_study, study_uid


def test_every_answer_forbids_other_hosts(client: Client) -> None:
    """Pages, JSON and errors carry a policy that allows this origin only."""
    for path in ("/", "/api/studies", "/nowhere", "/health/live", "/static/sentinode.css"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "http:" not in policy
        assert "https:" not in policy
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("[::1]:8080", 200),
        ("rebound.example", 421),
        ("127.0.0.1.example", 421),
        ("", 421),
        ("[::1", 421),
    ],
)
def test_loopback_process_answers_loopback_names_only(
    client: Client, host: str, status: int
) -> None:
    """A foreign name that points to this machine is refused."""
    assert client.get("/health/live", headers={"host": host}).status_code == status


def test_a_health_check_that_names_no_host(client: Client) -> None:
    """HAProxy's speaks HTTP/1.0 without Host; a browser, whom a foreign page could use, never."""
    statuses = {path: _status_without_host(client, path) for path in ("/health/live", "/")}
    assert statuses == {"/health/live": 200, "/": 503}


def _status_without_host(client: Client, path: str) -> int:
    found: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    about = {"http_version": "1.0", "scheme": "http", "client": ("127.0.0.1", 1)}
    asyncio.run(client.app({**scope, **about}, receive, send))
    [status] = found
    return status


def test_process_on_a_network_answers_every_name(tmp_path: Path) -> None:
    """Bound to a network address, the names of the deployment are not known here."""
    app = create_app(load_settings(state_dir=tmp_path, http_host="0.0.0.0"))
    answer = Client(app).get("/health/live", headers={"host": "node.example"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": ""},
    ],
)
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_another_site_cannot_retry(client: Client, headers: dict[str, str], prefix: str) -> None:
    """A form on another site is refused before anything happens."""
    uid = add_study(client.app.state.site.store, state="failed")
    answer = client.ask("POST", f"{prefix}/studies/{uid}/retry", headers=headers)
    assert answer.status_code == 403
    assert client.get(f"/api/studies/{uid}").json()["state"] == "failed"


def test_get_cannot_change_anything(client: Client) -> None:
    """Following a link never retries."""
    assert client.get(f"/studies/{study_uid()}/retry").status_code == 405


@pytest.mark.parametrize("path", ["/health/live", "/metrics", "/", "/static/refresh.js", "/viewer"])
def test_head_is_get_without_its_content(client: Client, path: str) -> None:
    """Monitors and load balancers ask so."""
    answer, whole = client.ask("HEAD", path), client.get(path)
    assert answer.status_code == whole.status_code
    assert answer.content == b""
    assert set(answer.headers) == set(whole.headers)
    assert answer.headers["content-security-policy"]


def test_an_error_that_nobody_foresaw_says_where_to_look(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer names the log and nothing of what went wrong."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("PatientName=Roe^Jane")

    monkeypatch.setattr(studies, "list_studies", fail)
    for path in ("/", "/api/studies"):
        answer = client.get(path)
        assert answer.status_code == 500
        assert "log of the web process" in answer.json()["error"]
        assert "Roe" not in answer.text


def test_host_names() -> None:
    """Ports and brackets do not matter; nonsense is no name."""
    assert host_name("localhost:80") == "localhost"
    assert host_name("[::1]:80") == "::1"
    assert host_name("[") == ""
    assert is_loopback("127.8.8.8")
    assert not is_loopback("128.0.0.1")


@pytest.mark.parametrize(("version", "is_proxy"), [("1.0", True), ("1.1", False)])
def test_a_proxy_that_names_nobody(version: str, is_proxy: bool) -> None:
    """nginx without a line of its own: HTTP/1.0, the upstream's Host, nothing of the sender."""
    headers = [(b"host", b"127.0.0.1:8080"), (b"connection", b"close")]
    request = Request({"type": "http", "http_version": version, "headers": headers})
    assert came_through_proxy(request) == is_proxy
