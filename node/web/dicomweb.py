"""The viewer's way to the archive: a streaming, read-only proxy of its DICOMweb and nothing else.

In: QIDO-RS and WADO-RS requests of the viewer (PS3.18 sections 10.4 and 10.6). Out: what the
archive answers, as it arrives. Only GET, only studies, series and instances: an archive's other
interfaces, and storing into it, cannot be reached from a browser.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

import httpx
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask

from node.logs import log
from node.settings import Settings
from node.web.site import TheSite

router = APIRouter()

# PS3.18 table 10.1-1: UIDs, frame lists, attribute paths and fixed words; no dots on their own.
_RESOURCE = re.compile(r"(studies|series|instances)(/(?!\.+(/|$))[A-Za-z0-9.,_-]+)*/?")
_TO_ARCHIVE = ("accept", "accept-encoding", "range", "if-none-match", "if-modified-since")
_TO_VIEWER = (
    "content-type",
    "content-length",
    "content-encoding",
    "content-range",
    "accept-ranges",
    "etag",
    "last-modified",
)
# Rendering a frame or listing a large study takes an archive seconds, not minutes.
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
# Orthanc ends a connection that rested for a second; who asks at that moment gets no answer.
_KEPT = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=0.5)
# An archive that rests for less, or restarts, ends it between our look and our request.
_CUT = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
# A viewer that scrolls on leaves dozens of requests; each holds a connection until it is seen.
_LOOK_SECONDS = 0.2
# Nobody reads it; the log of requests does (nginx has it for this).
_LEFT = 499


def client(settings: Settings) -> httpx.AsyncClient:
    """The connections to the archive; no environment proxy may come between.

    Raises ConfigurationError where the password cannot be read.
    """
    return httpx.AsyncClient(
        base_url=settings.orthanc,
        timeout=_TIMEOUT,
        limits=_KEPT,
        trust_env=False,
        auth=settings.orthanc_account(),
    )


@router.get("/dicom-web/{resource:path}")
async def forward(resource: str, request: Request, site: TheSite) -> Response:
    """Ask the archive and stream its answer. Raises httpx.TransportError."""
    if not _RESOURCE.fullmatch(resource):
        raise HTTPException(404, "only DICOMweb studies, series and instances are served here")
    host = request.headers.get("host", "")
    headers = {name: request.headers[name] for name in _TO_ARCHIVE if name in request.headers}
    # The archive writes links to itself into its answers; they must lead back here.
    headers |= {"host": host, "forwarded": f"host={host};proto={request.url.scheme}"}
    # As they came: httpx would take text for ASCII, and fail.
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    query = httpx.QueryParams(request.url.query)
    asked = site.archive.build_request("GET", f"/dicom-web/{resource}", params=query, headers=raw)
    answer = await _while_awaited(request, _send(site.archive, asked))
    if answer is None:
        return Response(status_code=_LEFT)
    if fault := _fault(answer.status_code):
        await answer.aclose()
        log.error(f"archive not usable: {fault}", extra={"status": answer.status_code})
        raise HTTPException(502, f"{fault} (the archive answers {answer.status_code})")
    return StreamingResponse(
        answer.aiter_raw(),
        status_code=answer.status_code,
        headers={name: answer.headers[name] for name in _TO_VIEWER if name in answer.headers},
        background=BackgroundTask(answer.aclose),
    )


def _fault(status: int) -> str | None:
    """What is wrong between node and archive, not between reader and node.

    Handed on, a 401 would have the viewer load itself again for ever, for want of a login here.
    """
    if status in (401, 407):
        return "the archive wants another account; see ORTHANC_USERNAME, ORTHANC_PASSWORD_FILE"
    if 300 <= status < 400 and status != 304:
        return "the archive is at another address; see ORTHANC_URL"
    return None


async def _send(archive: httpx.AsyncClient, asked: httpx.Request) -> httpx.Response:
    """Ask, and once more where the connection ended before an answer: GET is idempotent.

    RFC 9110 section 9.2.2. A viewer takes one missing frame for the end of its session.
    """
    try:
        return await archive.send(asked, stream=True)
    except _CUT:
        return await archive.send(asked, stream=True)


async def _while_awaited(
    request: Request, sending: Coroutine[Any, Any, httpx.Response]
) -> httpx.Response | None:
    """What the archive answers; None, and its connection is free, where the viewer has left."""
    answer = asyncio.ensure_future(sending)
    while not (await asyncio.wait((answer,), timeout=_LOOK_SECONDS))[0]:
        if await request.is_disconnected():
            answer.cancel()
            (ended,) = await asyncio.gather(answer, return_exceptions=True)
            if isinstance(ended, httpx.Response):
                await ended.aclose()
            return None
    return answer.result()
