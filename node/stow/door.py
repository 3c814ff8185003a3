"""The door: one request from its header fields to its answer, and the routes to it.

In: POST requests of the web process. Out: instances in the inbox, a response that says what became
of each. Nothing here waits on the event loop: files and the database are the business of threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from itertools import product
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect

from node.errors import BrokenRequestError
from node.identifiers import is_uid
from node.instance import Inbox, Reception, recover
from node.logs import log
from node.routes import load_routes
from node.settings import Settings
from node.store.spool import Spool
from node.stow.access import REQUESTS_AT_ONCE, RETRY_AFTER, Slots, authorize
from node.stow.answer import answer, refusal
from node.stow.body import HandOver, Limits, chunks_of
from node.stow.intake import Intake
from node.stow.media import check_head
from node.stow.part10 import Contexts, Sender
from node.web.security import same_origin
from node.web.site import Site

Result = TypeVar("Result")


class Door:
    """STOW-RS of one process; lives as long as the application that includes its router."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError."""
        self._settings = settings
        self._routes = load_routes(settings.routes)
        self._contexts = Contexts(settings)
        self._limits = Limits(
            silence_seconds=settings.dicom_pdu_timeout_seconds,
            request_seconds=settings.dicom_association_timeout_seconds,
            request_bytes=settings.stow_max_request_bytes,
        )
        self._slots = Slots()
        self._threads = ThreadPoolExecutor(REQUESTS_AT_ONCE, "stow")
        self._inbox: Inbox | None = None
        self._inbox_lock = threading.Lock()
        self.router = APIRouter(lifespan=self._lifespan, dependencies=[Depends(same_origin)])
        # Senders that join a base and a path often leave a slash at the end.
        studies = ("/dicom-web/studies", "/dicom-web/studies/{study_uid}")
        for path, end in product(studies, ("", "/")):
            self.router.add_api_route(path + end, self.store, methods=["POST"], response_model=None)

    async def store(self, request: Request, study_uid: str = "") -> Response:
        """Store Instances (PS3.18 10.5)."""
        try:
            host = authorize(request, self._settings)
            boundary = check_head(request.headers, self._limits.request_bytes)
            if study_uid and not is_uid(study_uid):
                raise HTTPException(400, "the study in the URL is not a DICOM UID")
            with self._slots.taken(host):
                return await self._receive(request, boundary, Sender(host, study_uid))
        except HTTPException as error:
            return refusal(error.status_code, error.detail, error.headers)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    async def _receive(self, request: Request, boundary: bytes, sender: Sender) -> Response:
        inbox = await self._in_thread(self._open, request.app.state.site)
        intake = Intake(inbox, self._contexts, boundary, sender)
        failure: BrokenRequestError | None = None
        try:
            await self._read(request, intake)
        except BrokenRequestError as error:
            failure = error
        finally:
            # Even when this task is cancelled the thread does its work to the end.
            await asyncio.shield(self._in_thread(intake.abandon))
            failure = intake.failure or failure
            _log(sender, intake, failure)
        return await self._in_thread(answer, intake.report, failure)

    async def _read(self, request: Request, intake: Intake) -> None:
        hand_over = HandOver(intake.take, self._threads)
        async with aclosing(chunks_of(request, self._limits)) as chunks:
            async for chunk in chunks:
                await hand_over.push(chunk)
                if intake.failure is not None:
                    return
        await hand_over.flush()
        await self._in_thread(intake.finish)

    async def _in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, work, *arguments)

    def _open(self, site: Site) -> Inbox:
        """The inbox; made by the first request. Raises HTTPException 503."""
        with self._inbox_lock:
            if self._inbox is None:
                try:
                    site.files.prepare()
                    spool = Spool(site.files.incoming)
                except OSError as error:
                    log.error("no spool folder for STOW-RS", extra={"reason": error.strerror})
                    raise HTTPException(503, "the disk cannot take it", RETRY_AFTER) from error
                self._inbox = Inbox(self._reception(site), spool)
            return self._inbox

    def _reception(self, site: Site) -> Reception:
        return Reception(self._settings, site.store, site.files, self._routes)

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        await self._in_thread(self._recover, app.state.site)
        yield
        self._threads.shutdown(wait=True)
        if self._inbox is not None:
            self._inbox.close()

    def _recover(self, site: Site) -> None:
        """Remove what a killed web process left; the pages come up whatever this finds."""
        try:
            site.files.prepare()
            recover(self._reception(site))
        except (OSError, SQLAlchemyError) as error:
            log.warning("spool not cleaned", extra={"reason": type(error).__name__})


def _log(sender: Sender, intake: Intake, failure: BrokenRequestError | None) -> None:
    # Each refused instance has its own line already.
    facts = {
        "peer_host": sender.host,
        "instances": len(intake.report.instances) + len(intake.report.unknown),
        "failure": "" if failure is None else str(failure),
    }
    log.info("STOW-RS request", extra=facts)
