"""What protects the people who use the pages, beside the login (`login/gate.py`).

Every answer says what a browser may load with it: nothing from another host, ever. A request that
changes something must come from these pages. A process bound to loopback answers only to loopback
names and those of its settings, so that a foreign page cannot reach it by pointing its own name
here (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The viewer compiles WebAssembly, starts workers from blobs and writes styles into its elements.
VIEWER_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; base-uri 'none'; frame-ancestors 'none'"
)
_FORWARDED = (
    *("forwarded", "via", "x-real-ip"),
    *("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"),
)
_MISDIRECTED = (
    "this process serves its own machine only; names of a proxy on it: SENTINODE_HTTP_NAMES"
)
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # Together these isolate the process, without which browsers withhold SharedArrayBuffer.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware: host check before, headers after; bodies stream through untouched."""

    def __init__(self, app: ASGIApp, http_host: str, names: Collection[str] = ()) -> None:
        self._app = app
        self._local_only = is_loopback(http_host)
        self._names = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", PAGE_POLICY)
            await send(message)

        if self._local_only and not self._is_ours(Headers(scope=scope).get("host")):
            refusal = PlainTextResponse(_MISDIRECTED, 421)
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _is_ours(self, host: str | None) -> bool:
        if host is None:
            return True  # HTTP/1.0, as health checks of proxies speak it; no browser does
        name = host_name(host)
        return is_loopback(name) or name in self._names


def same_origin(request: Request) -> None:
    """Refuse a change that another site's page asks for; programs send neither header."""
    fetch_site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign_fetch = fetch_site not in (None, "same-origin", "none")
    foreign_origin = origin is not None and _place(origin) != request.headers.get("host")
    if foreign_fetch or foreign_origin:
        raise HTTPException(403, "this request came from another site")


def _place(origin: str) -> str | None:
    """Host and port of an Origin header; None when it is malformed, which no host is."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def came_through_proxy(request: Request) -> bool:
    """Whether somebody else may have sent what seems to come from this machine.

    A proxy on it, or one that is believed and handed on a sender's own X-Forwarded-For. nginx, of
    all proxies, names nobody unless it is told to, but speaks HTTP/1.0 unless it is told otherwise.
    """
    handed_on = any(name in request.headers for name in _FORWARDED)
    return handed_on or request.scope.get("http_version") == "1.0"


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty when it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a name or address can only mean this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
