"""The login page, the way out, and HTTP Basic: in process, without a socket."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator

import httpx
import pytest
from fastapi import HTTPException
from starlette.types import Message

from node.settings import Settings
from node.web.app import create_app
from node.web.login.entrance import Entrance
from node.web.login.pages import local_path
from tests.unit.node.web.conftest import Client
from tests.unit.node.web.login.known import (
    OPERATOR,
    PAGE,
    PASSWORDS,
    READER,
    SAME_ORIGIN,
    account,
    log_in,
    logged_in,
    session_of,
    write_accounts,
)
from tests.unit.node.web.rows import add_study


@pytest.fixture
def closed(settings: Settings) -> Iterator[Client]:
    """Return a client of an application with a reader and an operator."""
    write_accounts(settings.web_accounts)
    app = create_app(settings)
    yield Client(app)
    app.state.site.store.close()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Return what is logged."""
    with caplog.at_level("INFO", "sentinode"):
        yield caplog


def _basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def test_a_person_comes_in_and_goes(closed: Client) -> None:
    """Form, session, page with the name on it, logout; the old cookie is worth nothing then."""
    form = closed.get("/login", headers=PAGE)
    assert form.status_code == 200
    for label in ("name", "password"):
        assert f'<label for="{label}">' in form.text
        assert f'id="{label}"' in form.text
    answer = log_in(closed, READER, next="/?state=done")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?state=done")
    session = session_of(answer)
    page = closed.get("/", headers={**PAGE, **session})
    assert page.status_code == 200
    assert READER in page.text
    assert "Log out" in page.text
    out = closed.ask("POST", "/logout", headers={**SAME_ORIGIN, **session})
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert closed.get("/", headers={**PAGE, **session}).status_code == 303


def test_cookie_is_out_of_reach(closed: Client) -> None:
    """Not for scripts, not for other sites' posts, only by TLS where there is TLS."""
    cookie = log_in(closed, READER).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert READER not in cookie
    assert "Domain" not in cookie

    async def by_tls(scope, receive, send):
        await closed.app({**scope, "scheme": "https"}, receive, send)

    cookie = log_in(Client(by_tls), READER).headers["set-cookie"]
    assert "Secure" in cookie.split("; ")
    assert cookie.startswith("__Host-sentinode-")


def test_every_login_is_a_new_session(closed: Client) -> None:
    """A session that somebody planted is not the one that counts, and the one before has ended."""
    first = logged_in(closed, READER)
    data = {"name": OPERATOR, "password": PASSWORDS[OPERATOR]}
    headers = {**PAGE, **SAME_ORIGIN, **first}
    second = session_of(closed.ask("POST", "/login", data=data, headers=headers))
    assert first != second
    assert closed.get("/api/studies", headers=first).status_code == 401
    assert closed.get("/api/studies", headers=second).status_code == 200
    name = first["cookie"].partition("=")[0]
    for planted in ("x", "", "a.b", "ä"):
        headers = {"cookie": f"{name}={planted}".encode("latin-1")}
        assert closed.get("/api/studies", headers=headers).status_code == 401


@pytest.mark.parametrize("name", [READER, "nobody", "", "x" * 5000, "../etc", "\0", "ä"])
def test_wrong_answers_are_alike(closed: Client, name: str) -> None:
    """The answer does not tell whether there is such an account."""
    answer = log_in(closed, name, "not the password")
    assert answer.status_code == 401
    assert "This name and password do not belong together." in answer.text
    assert "set-cookie" not in answer.headers
    assert 'role="alert"' in answer.text


def test_what_was_typed_is_escaped(closed: Client) -> None:
    """The name comes back into the form as text, the password never does."""
    answer = log_in(closed, '"><script>alert(1)</script>', "my secret passphrase")
    assert "<script>alert" not in answer.text
    assert "my secret passphrase" not in answer.text


@pytest.mark.parametrize(
    "text",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example"),
        *("/\t/evil.example", "/\n/evil.example", "javascript:alert(1)", "evil.example", ""),
        *(
            " //evil.example",
            "/login",
            "/login?next=/login",
            "/logout",
            f"/{'a' * 2000}",
            "/\x00",
            "/ä",
        ),
    ],
)
def test_way_back_leads_nowhere_else(closed: Client, text: str) -> None:
    """Whatever `next` says, the browser stays on this origin, and comes to a page."""
    assert local_path(text) == "/"
    assert log_in(closed, READER, next=text).headers["location"] == "/"
    session = logged_in(closed, READER)
    answer = closed.get("/login", params={"next": text}, headers=session)
    assert answer.headers["location"] == "/"


def test_way_back_is_the_page_that_was_wanted(closed: Client) -> None:
    """With its query, percent-encoded once."""
    wanted = "/viewer?StudyInstanceUIDs=1.2&x=%20y"
    answer = closed.get(wanted, headers=PAGE)
    assert answer.status_code == 303
    form = closed.get(answer.headers["location"], headers=PAGE).text
    assert 'value="/viewer?StudyInstanceUIDs=1.2&amp;x=%20y"' in form
    assert log_in(closed, READER, next=wanted).headers["location"] == wanted


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}]
)
@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_another_site_cannot_log_in_or_out(
    closed: Client, headers: dict[str, str], path: str
) -> None:
    """Neither put somebody into an account that is not theirs, nor throw them out."""
    session = logged_in(closed, READER)
    data = {"name": READER, "password": PASSWORDS[READER]}
    answer = closed.ask("POST", path, data=data, headers={**headers, **session})
    assert answer.status_code == 403
    assert closed.get("/api/studies", headers=session).status_code == 200


def test_form_that_is_none(closed: Client) -> None:
    """Another type, too long, not text, too many fields: refused without a traceback."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    for content, headers, status in (
        (b"{}", {"content-type": "application/json"}, 415),
        (b"name=" + b"x" * 9000, form, 413),
        (b"name=\xff", form, 400),
        (b"&".join(b"a=b" for _ in range(20)), form, 400),
        (b"", form, 401),
    ):
        answer = closed.ask("POST", "/login", content=content, headers=headers)
        assert answer.status_code == status


def test_guessing_is_slowed_down(closed: Client, lines: pytest.LogCaptureFixture) -> None:
    """Five tries, then 429 with the time to wait, even for the right password."""
    began = time.monotonic()
    for _ in range(5):
        assert log_in(closed, READER, "not the password").status_code == 401
    answer = log_in(closed, READER)
    assert answer.status_code == 429
    passed_seconds = time.monotonic() - began
    assert 60 - passed_seconds <= int(answer.headers["retry-after"]) <= 60
    assert "Too many wrong passwords; try again in" in answer.text
    assert log_in(closed, OPERATOR).status_code == 303
    assert [record.reason for record in lines.records if record.message == "login failed"] == [
        *["wrong password"] * 5,
        "too many attempts",
    ]


def test_guessing_by_basic_is_slowed_down_too(closed: Client) -> None:
    """The form and HTTP Basic fill the same buckets."""
    for _ in range(5):
        answer = closed.get("/api/studies", headers=_basic(READER, "not the password"))
        assert answer.status_code == 401
    answer = closed.get("/api/studies", headers=_basic(READER, PASSWORDS[READER]))
    assert answer.status_code == 429
    assert answer.headers["retry-after"]
    assert "error" in answer.json()
    assert log_in(closed, READER).status_code == 429


def test_programs_show_their_password(closed: Client, settings: Settings) -> None:
    """HTTP Basic on the JSON API, as a reader and as an operator, until the account changes."""
    uid = add_study(closed.app.state.site.store, state="failed", delivery_state="refused")
    reader, operator = (_basic(name, PASSWORDS[name]) for name in (READER, OPERATOR))
    for _ in range(3):
        assert closed.get("/api/studies", headers=reader).status_code == 200
    assert closed.ask("POST", f"/api/studies/{uid}/retry", headers=reader).status_code == 403
    assert closed.ask("POST", f"/api/studies/{uid}/retry", headers=operator).status_code == 200
    write_accounts(settings.web_accounts, account(OPERATOR).line)
    assert closed.get("/api/studies", headers=reader).status_code == 401
    assert closed.get("/api/studies", headers=operator).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        b"Basic",
        b"Basic !!!",
        b"Basic " + base64.b64encode(b"\xff:x"),
        b"Basic cml0YQ==",
        b"Basic \xff",
    ],
)
def test_basic_that_is_none(closed: Client, value: bytes) -> None:
    """Malformed credentials are no credentials."""
    assert closed.get("/api/studies", headers=[(b"authorization", value)]).status_code == 401


def test_browsers_are_not_asked_for_basic(closed: Client) -> None:
    """A browser's own dialogue would keep the password and send it along unasked."""
    answer = closed.get("/api/studies")
    assert answer.status_code == 401
    assert "basic" not in answer.headers["www-authenticate"].lower()
    page = closed.get("/", headers={**PAGE, **_basic(READER, PASSWORDS[READER])})
    assert page.status_code == 303


def test_log_names_account_and_host_and_no_password(
    closed: Client, lines: pytest.LogCaptureFixture
) -> None:
    """One line for each login, failure and logout; a password in the wrong field is not logged."""
    session = logged_in(closed, READER)
    closed.ask("POST", "/logout", headers={**SAME_ORIGIN, **session})
    log_in(closed, PASSWORDS[READER], "rita")
    log_in(closed, READER, "not the password")
    found = [(record.message, record.account) for record in lines.records]
    assert found == [
        ("login", READER),
        ("logout", READER),
        ("login failed", "unknown"),
        ("login failed", READER),
    ]
    assert {record.peer_host for record in lines.records} == {"127.0.0.1"}
    everything = " ".join(str(vars(record)) for record in lines.records)
    assert PASSWORDS[READER] not in everything
    assert "not the password" not in everything


def test_session_is_renewed_by_people_only(closed: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that polls keeps no session alive; a click does."""
    session = logged_in(closed, READER)
    sessions = closed.app.state.site.entrance.sessions
    later = sessions._now() + 120
    monkeypatch.setattr(sessions, "_now", lambda: later)
    polled = closed.get("/", headers={**session, "X-Sentinode-Refresh": "1"})
    assert (polled.status_code, "set-cookie" in polled.headers) == (200, False)
    clicked = closed.get("/", headers=session)
    assert "set-cookie" in clicked.headers
    assert closed.get("/api/studies", headers=session_of(clicked)).status_code == 200


def test_nothing_behind_the_login_is_stored(closed: Client) -> None:
    """Not even by the browser's own cache: others use the same workstation."""
    session = logged_in(closed, READER)
    for path in ("/", "/api/studies", "/login", "/studies/1.2.3"):
        for headers in (session, {}):
            answer: httpx.Response = closed.get(path, headers=headers)
            if "location" not in answer.headers or headers == {}:
                assert answer.headers["cache-control"] == "no-store", path


def test_too_many_at_once_wait_for_no_hash(settings: Settings) -> None:
    """Very many at the same moment from everywhere: a bounded number waits, the rest is told."""
    entrance = Entrance(settings)
    seen = []

    async def log_in_from(number: int) -> int:
        try:
            await entrance.admit(f"nobody{number}", "wrong password", f"10.0.{number}.1")
        except HTTPException as error:
            seen.append(entrance._waiting)
            return error.status_code
        raise AssertionError

    async def all_at_once() -> list[int]:
        return list(await asyncio.gather(*map(log_in_from, range(100))))

    statuses = asyncio.run(all_at_once())
    assert max(seen) <= 32
    assert 503 in statuses


def test_a_form_that_breaks_off_is_no_alarm(closed: Client) -> None:
    """A browser that goes away while it sends is no error of ours: no traceback."""
    messages = [{"type": "http.request", "body": b"name=a", "more_body": True}]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"application/x-www-form-urlencoded"),
    ]
    scope = {"type": "http", "method": "POST", "path": "/login", "headers": headers}
    scope |= {"query_string": b"", "client": ("127.0.0.1", 1), "http_version": "1.1"}
    asyncio.run(closed.app(scope, receive, send))
    assert sent[0]["status"] == 400
