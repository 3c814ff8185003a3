"""The gate: who asks, and whether that one may. It stands before every page, file and proxy.

In: each request. Out: the request with its `visitor`, or a refusal. What must hold: what is not
named here as open needs a login, whatever route is added later; what is not a plain look needs an
operator; and without any account a network sees nothing.

Open are the probes, the metrics (which name no one), what the login page is made of, and the doors
of other services, which have guards of their own.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.access import plain_host
from node.errors import ConfigurationError
from node.logs import log
from node.web.login.accounts import Role
from node.web.login.entrance import CHALLENGE, HOW_TO_BEGIN, Entrance
from node.web.login.sessions import Session
from node.web.messages import answer
from node.web.security import came_through_proxy, host_name, is_loopback

# Whole paths: the routes behind a prefix would take "/health/../index.html" for a file of theirs.
_OPEN = ("/health/live", "/health/startup", "/health/ready", "/metrics")
_OPEN_FILES = "/static/"
_LOGIN = ("/login", "/logout")
# Where programs show name and password with each request (RFC 7617), and get 401 instead of a page.
_FOR_PROGRAMS = ("/api/", "/dicom-web/")
# The search field's form is a look too: what it asks for would stand in the address of a GET.
_FIND = "/find"
_LOOKS = ("GET", "HEAD", "OPTIONS")
# A page that keeps itself up to date; that is not somebody's use of the session.
POLL_HEADER = "x-sentinode-refresh"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. `name` is empty for this machine, where no account is needed, and for strangers."""

    name: str = ""
    role: Role | None = None
    session: Session | None = None

    @property
    def operates(self) -> bool:
        """Whether this one may change something."""
        return self.role == Role.OPERATOR


STRANGER = Visitor()
_THIS_MACHINE = Visitor(role=Role.OPERATOR)


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, entrance: Entrance, doors: Sequence[APIRouter] = ()) -> None:
        self._app = app
        self._entrance = entrance
        self._doors = [route for door in doors for route in door.routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # there are no other routes
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.visitor = STRANGER
        if self._is_open(scope):
            await self._app(scope, receive, send)
            return
        try:
            request.state.visitor = await self._visitor(request)
            refusal = await self._refusal(request)
        except HTTPException as error:
            refusal = answer(request, error.status_code, error.detail, error.headers)
        except ConfigurationError as error:
            log.error(str(error))
            text = "nobody can log in at this moment; the log of the web process says why"
            refusal = answer(request, 503, text)
        if refusal is None:
            await self._app(scope, receive, self._keeping(request, send))
        else:
            await refusal(scope, receive, _not_stored(send))

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if path in _OPEN or path.startswith(_OPEN_FILES):
            return True
        return any(route.matches(scope)[0] == Match.FULL for route in self._doors)

    async def _visitor(self, request: Request) -> Visitor:
        found = await run_in_threadpool(self._known, request)
        shown = _basic(request) if found is STRANGER else None
        if shown is None or not request.url.path.startswith(_FOR_PROGRAMS):
            return found
        account = await self._entrance.admit_program(*shown, peer_host(request))
        return Visitor(account.name, account.role)

    def _known(self, request: Request) -> Visitor:
        if self._is_at_home(request) and not self._entrance.accounts.wanted:
            return _THIS_MACHINE
        text = request.cookies.get(cookie_name(request, self._entrance))
        session = self._entrance.sessions.read(text) if text else None
        if session is None:
            return STRANGER
        return Visitor(session.account.name, session.account.role, session)

    def _is_at_home(self, request: Request) -> bool:
        """Whether the request comes from this machine itself, and not through a proxy on it."""
        return (
            not self._entrance.needs_accounts
            and is_loopback(peer_host(request))
            and is_loopback(host_name(request.headers.get("host", "")))
            and not came_through_proxy(request)
        )

    async def _refusal(self, request: Request) -> Response | None:
        visitor: Visitor = request.state.visitor
        if visitor.role is None:
            return await self._to_stranger(request)
        if request.method in _LOOKS or visitor.operates:
            return None
        if request.url.path in (*_LOGIN, _FIND):
            return None
        facts = {"account": visitor.name, "peer_host": peer_host(request)}
        log.warning("change refused: the account is a reader", extra=facts)
        return answer(request, 403, f"the account {visitor.name} may look, but change nothing")

    async def _to_stranger(self, request: Request) -> Response | None:
        if not await run_in_threadpool(self._entrance.accounts.all):
            return answer(request, 503, HOW_TO_BEGIN)
        if request.url.path in _LOGIN:
            return None
        if _is_navigation(request):
            return RedirectResponse(_login_address(request), HTTPStatus.SEE_OTHER)
        return answer(request, 401, "log in first, at /login", CHALLENGE)

    def _keeping(self, request: Request, send: Send) -> Send:
        """Send what is behind the login: not stored by browsers, and with the session renewed."""
        visitor: Visitor = request.state.visitor
        if visitor.session is None or request.url.path in _LOGIN:
            return _not_stored(send) if visitor.name else send
        used = POLL_HEADER not in request.headers
        text = self._entrance.sessions.renewed(visitor.session) if used else None
        cookie = set_cookie(request, self._entrance, text) if text else None
        return _not_stored(send, cookie)


def cookie_name(request: Request, entrance: Entrance) -> str:
    """The session's cookie. Nobody else can plant one called __Host- (RFC 6265bis 4.1.3)."""
    prefix = "__Host-" if request.url.scheme == "https" else ""
    return f"{prefix}sentinode-{entrance.sessions.mark()}"


def set_cookie(request: Request, entrance: Entrance, text: str) -> str:
    """Set-Cookie of a session; an empty text takes the cookie away.

    It ends with the browser. Lax, not Strict: a link in the PACS or in an alert's mail must open
    the study it names; whatever changes something is a POST, to which Lax gives no cookie.
    """
    secure = "; Secure" if request.url.scheme == "https" else ""
    age = "" if text else "; Max-Age=0"
    name = cookie_name(request, entrance)
    return f"{name}={text}; Path=/; HttpOnly; SameSite=Lax{secure}{age}"


def peer_host(request: Request) -> str:
    """The address of who asks; "" where a proxy wrote something else."""
    try:
        return plain_host(request.client.host) if request.client else ""
    except ValueError:
        return ""


def _not_stored(send: Send, cookie: str | None = None) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Cache-Control", "no-store")
            if cookie is not None:
                headers.append("Set-Cookie", cookie)
        await send(message)

    return sending


def _is_navigation(request: Request) -> bool:
    """Whether a person's browser waits for a page, which may as well be the login."""
    wants_page = "text/html" in request.headers.get("accept", "")
    return wants_page and not request.url.path.startswith(_FOR_PROGRAMS)


def _login_address(request: Request) -> str:
    if request.method != "GET" or request.url.path == "/":
        return "/login"
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/login?next={quote(wanted, safe='/')}"


def _basic(request: Request) -> tuple[str, str] | None:
    """Name and password of HTTP Basic; None without, or where it is malformed."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:  # not ASCII, not Base64, not UTF-8
        return None
    return (name, password) if colon else None
