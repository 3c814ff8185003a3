"""Who looked at which study: one log line for it, as a hospital's audit asks.

In: requests that the gate let in. Out: a line "study opened" or "study list seen" with account,
host, study and what was shown, named by the event of PS3.15 A.5.3 that it is. What must hold: only
what was answered counts; no patient's values are written; and a viewer's hundreds of requests for
one study are one line in `REPEAT_SECONDS`.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.identifiers import is_uid
from node.logs import log
from node.web.login.gate import peer_host

REPEAT_SECONDS = 900.0
# Lines that are remembered, at about 300 bytes each.
_REMEMBERED = 10_000

# What is shown by path, before the study's UID.
_SHOWN = {"": "page", "api/": "status", "dicom-web/": "archive"}
_STUDY = re.compile(r"/(api/|dicom-web/|)studies/([0-9.]+)(?:/|$)")
_LIST = re.compile(r"/(?:(api/|dicom-web/)(?:studies|series|instances)/?)?")
# How QIDO-RS names the study that it searches in (PS3.18 8.3.4).
_STUDY_KEYS = ("StudyInstanceUID", "0020000D")

# 304: the browser shows what it has kept.
_SHOWING = (200, 206, 304)
_STUDY_EVENT = ("study opened", "DICOM Instances Accessed")
_LIST_EVENT = ("study list seen", "Query")


@dataclass(frozen=True, slots=True)
class Look:
    """What a request shows: `study_uid` is None for the list of studies."""

    shown: str
    study_uid: str | None


class AuditTrail:
    """ASGI middleware; stands behind the gate. Used by the event loop alone."""

    def __init__(self, app: ASGIApp, now: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._now = now
        self._told: OrderedDict[tuple[str, str, Look], float] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        look = _look(scope) if scope["type"] == "http" else None
        if look is None:
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _SHOWING:
                self._tell(Request(scope), look)
            await send(message)

        await self._app(scope, receive, sending)

    def _tell(self, request: Request, look: Look) -> None:
        account, host = request.state.visitor.name, peer_host(request)
        key, now = (account, host, look), self._now()
        if now - self._told.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        text, event = _LIST_EVENT if look.study_uid is None else _STUDY_EVENT
        facts = {"event": event, "account": account, "peer_host": host, "shown": look.shown}
        log.info(text, extra=facts | ({"study_uid": look.study_uid} if look.study_uid else {}))


def _look(scope: Scope) -> Look | None:
    path: str = scope["path"]
    if scope["method"] != "GET":
        return Look(_SHOWN[""], None) if path == "/find" else None
    study = _STUDY.match(path)
    if study is not None:
        return Look(_SHOWN[study[1]], study[2]) if is_uid(study[2]) else None
    listed = _LIST.fullmatch(path)
    if listed is None:
        return None
    shown = _SHOWN[listed[1] or ""]
    return Look(shown, _searched(scope) if shown == "archive" else None)


def _searched(scope: Scope) -> str | None:
    """The study that a search of the archive names."""
    query: bytes = scope["query_string"]
    for key, value in parse_qsl(query.decode("latin-1")):
        if key in _STUDY_KEYS and is_uid(value):
            return value
    return None
