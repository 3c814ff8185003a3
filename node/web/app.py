"""The web application: one screen that says which parts it has and what each error becomes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from node.errors import IllegalMoveError, NotFoundError
from node.job import Bell
from node.logs import log
from node.settings import Settings
from node.store.files import Files
from node.store.session import open_store
from node.web import dicomweb, find, metrics, pages, probes, studies, viewer
from node.web.audit import AuditTrail
from node.web.head import Head
from node.web.login import pages as login
from node.web.login.entrance import Entrance
from node.web.login.gate import Gate
from node.web.messages import answer
from node.web.security import Guard
from node.web.site import Site

_HERE = Path(__file__).parent
# For what the framework says of an address that is none.
_OWN_WORDS = {
    "Not Found": "there is nothing at this address",
    "Method Not Allowed": "this address is not for that: its method is not allowed",
}


def create_app(
    settings: Settings,
    ring: Callable[[Bell], object] | None = None,
    doors: Sequence[APIRouter] = (),
) -> FastAPI:
    """The application.

    `ring` publishes the message of a retried job; without it the sweeper does so, a little later.
    `doors` are routers of the process that are no business of the pages; they let in whom they
    please, without a login.
    """
    site = Site(
        settings=settings,
        store=open_store(settings),
        files=Files(settings.state_dir),
        templates=pages.environment(Jinja2Templates(_HERE / "templates")),
        archive=dicomweb.client(settings),
        entrance=Entrance(settings),
        ring=ring or (lambda bell: None),
    )
    app = FastAPI(title="Sentinode", openapi_url=None, lifespan=_lifespan)
    app.state.site = site
    app.add_middleware(AuditTrail)
    app.add_middleware(Gate, entrance=site.entrance, doors=doors)
    app.add_middleware(Head)
    app.add_middleware(Guard, http_host=settings.http_host, names=settings.http_names)
    parts = (
        probes.router(site),
        metrics.router(site),
        login.router,
        studies.router,
        find.router,
        dicomweb.router,
    )
    for router in (*parts, *doors):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=_HERE / "static"))
    viewer.install(app, settings.ohif_dir)
    _answer_errors(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    site: Site = app.state.site
    site.entrance.announce()
    yield
    await site.archive.aclose()
    site.store.close()


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        text = _OWN_WORDS.get(str(error.detail), str(error.detail))
        return answer(request, error.status_code, text, error.headers)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> Response:
        wrong = (f"{item['loc'][-1]}: {item['msg']}" for item in error.errors())
        return answer(request, 422, "; ".join(wrong))

    @app.exception_handler(NotFoundError)
    def not_found(request: Request, error: NotFoundError) -> Response:
        return answer(request, 404, str(error))

    @app.exception_handler(IllegalMoveError)
    def illegal(request: Request, error: IllegalMoveError) -> Response:
        return answer(request, 409, str(error))

    @app.exception_handler(SQLAlchemyError)
    def no_database(request: Request, error: SQLAlchemyError) -> Response:
        log.error("database does not answer", extra={"reason": type(error).__name__})
        return answer(request, 503, "the database does not answer; try again in a moment")

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        # uvicorn logs it with its traceback. Without a page: that may be what failed.
        text = "an error of the node itself; the log of the web process has it"
        return JSONResponse({"error": text}, 500)

    @app.exception_handler(httpx.TransportError)
    def no_archive(request: Request, error: httpx.TransportError) -> Response:
        return answer(request, 502, f"the archive does not answer ({type(error).__name__})")
