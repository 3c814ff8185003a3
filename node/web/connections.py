"""Connections to the web process: how many there are, and how long one may be silent.

In: what uvicorn accepts. Out: the same, but one that shows no request in time is cut off, and one
too many is not taken. What must hold: whoever merely connects, which needs no login, cannot take
the last file descriptor of the process, without which it answers nobody.
"""

from __future__ import annotations

import asyncio
import time

from uvicorn.protocols.http.h11_impl import H11Protocol

from node.access import host_allowed
from node.logs import log
from node.web.login.throttle import neighbourhood

# From connecting, or from the last answer, to the end of the next request's header fields. uvicorn
# itself ends a connection 5 s after an answer, but no longer once a byte of the next has come.
REQUEST_SECONDS = 15.0
# STOW-RS has up to 512 files open; 1024 descriptors are what a process may count on.
CONNECTIONS = 400
# A browser has six, and a ward's computers may share one address. Proxies are not counted so.
CONNECTIONS_OF_HOST = 100
_TELL_SECONDS = 60.0


class Connection(H11Protocol):
    """HTTP/1.1 on one connection."""

    _told = float("-inf")
    _deadline: asyncio.TimerHandle | None = None
    _unsent_bytes = 0
    near = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        self.near = "" if self._is_proxy(host) else neighbourhood(host)
        if self._is_too_many():
            self._tell(host)
            transport.abort()
        else:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._await_request()

    def _await_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._expire)

    def _expire(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            return  # a request is being served; its answer begins the next wait
        if 0 < self.transport.get_write_buffer_size() < self._unsent_bytes:
            self._await_request()  # a slow line, still reading
        else:
            self.transport.abort()

    def _is_too_many(self) -> bool:
        if len(self.connections) > CONNECTIONS:
            return True
        near = [each for each in self.connections if getattr(each, "near", "") == self.near]
        return self.near != "" and len(near) > CONNECTIONS_OF_HOST

    def _is_proxy(self, host: str) -> bool:
        proxies = self.config.forwarded_allow_ips
        networks = tuple(proxies) if isinstance(proxies, list) else ()
        try:
            return bool(networks) and host_allowed(host, networks)
        except ValueError:
            return False

    def _tell(self, host: str) -> None:
        # One line for thousands: a log that fills the disk would be the same harm.
        if time.monotonic() - Connection._told >= _TELL_SECONDS:
            Connection._told = time.monotonic()
            facts = {"peer_host": host, "connections": len(self.connections)}
            log.warning("too many connections to the web process; some are not taken", extra=facts)
