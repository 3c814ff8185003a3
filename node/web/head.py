"""HEAD for every page and probe: the answer of GET without its content (RFC 9110 section 9.3.2).

Monitors and load balancers ask so, and take a 404 for a process that is not well.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The archive would send whole images to be thrown away.
_FORWARDED = "/dicom-web/"


class Head:
    """ASGI middleware: what is behind it sees GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        if not is_head or scope["path"].startswith(_FORWARDED):
            await self._app(scope, receive, send)
            return

        async def without_content(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_content)
