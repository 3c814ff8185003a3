"""Who may store by STOW-RS, and how many requests are served at once.

A bearer token (RFC 6750) where the settings name a file of tokens; else this machine only. The
networks that the DICOM listener knows hold here too. The file is read for each request, so that a
rotated secret needs no restart; each of its lines is a token, so that senders can change over one
after the other.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

from fastapi import HTTPException, Request

from node.access import host_allowed, plain_host
from node.logs import log
from node.settings import Settings
from node.web.security import came_through_proxy

# Each may hold as many open files as a batch of the intake has parts.
REQUESTS_AT_ONCE = 32
REQUESTS_PER_HOST = 16
RETRY_AFTER = {"Retry-After": "30"}  # seconds

_SCHEME = "bearer "


def authorize(request: Request, settings: Settings) -> str:
    """Return the sender's address. Raises HTTPException 401, 403 or 503."""
    host = _host(request)
    if not host or not host_allowed(host, settings.dicom_allowed_networks):
        raise _refusal(HTTPStatus.FORBIDDEN, "this host may not store here", host)
    if settings.stow_token_file is not None:
        _check_token(request.headers.get("authorization", ""), settings.stow_token_file, host)
    elif not ip_address(host).is_loopback or came_through_proxy(request):
        raise _refusal(HTTPStatus.FORBIDDEN, "only this machine may store without a token", host)
    return host


class Slots:
    """Requests that are served at this moment; used by the event loop alone."""

    def __init__(self) -> None:
        self._by_host: Counter[str] = Counter()

    @contextmanager
    def taken(self, host: str) -> Iterator[None]:
        """Hold a slot inside the block. Raises HTTPException 503."""
        if self._by_host.total() >= REQUESTS_AT_ONCE or self._by_host[host] >= REQUESTS_PER_HOST:
            raise HTTPException(503, "too many requests store at this moment", RETRY_AFTER)
        self._by_host[host] += 1
        try:
            yield
        finally:
            self._by_host[host] -= 1
            self._by_host += Counter()  # forgets hosts that have none


def _check_token(authorization: str, path: Path, host: str) -> None:
    try:
        known = [line.strip() for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        log.error("STOW-RS token file cannot be read", extra={"reason": error.strerror})
        raise HTTPException(503, "the node cannot check tokens", RETRY_AFTER) from error
    challenge = 'Bearer realm="STOW-RS"'
    if not authorization.lower().startswith(_SCHEME):
        raise HTTPException(401, "a bearer token is needed", {"WWW-Authenticate": challenge})
    shown = authorization[len(_SCHEME) :].strip().encode()
    # Every line is compared, so that the time says nothing about which one was close.
    if not sum(hmac.compare_digest(shown, token) for token in known):
        refusal = _refusal(HTTPStatus.UNAUTHORIZED, "this token is not known", host)
        refusal.headers = {"WWW-Authenticate": f'{challenge}, error="invalid_token"'}
        raise refusal


def _refusal(status: HTTPStatus, text: str, host: str) -> HTTPException:
    log.warning(f"STOW-RS refused: {text}", extra={"peer_host": host})
    return HTTPException(status, text)


def _host(request: Request) -> str:
    """The sender's address; "" where a proxy wrote something else in X-Forwarded-For."""
    try:
        return plain_host(request.client.host) if request.client else ""
    except ValueError:
        return ""
