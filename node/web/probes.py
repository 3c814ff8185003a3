"""Probes for orchestrators: alive, started, ready. Each says in JSON what it found.

For people a page that says the same, behind the login like every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from node.health import Check, check_migrations, readiness
from node.store.session import Store
from node.store.tables import DestinationState
from node.web.coalesced import Coalesced
from node.web.site import Site


def router(site: Site) -> APIRouter:
    """The routes below /health."""
    tables = Coalesced(lambda: [check_migrations(site.store)])
    everything = Coalesced(lambda: readiness(site.store, site.files, site.settings))
    routes = APIRouter(prefix="/health")

    @routes.get("/live")
    async def live() -> JSONResponse:
        """This process's own loop turns; nothing else is asked, so no peer's fault restarts it."""
        return JSONResponse({"ok": True})

    @routes.get("/startup")
    async def startup() -> JSONResponse:
        """The database has the tables that this version needs."""
        return _verdict(await tables())

    @routes.get("/ready")
    async def ready() -> JSONResponse:
        """A study could come in now and its results could go out."""
        return _verdict(await everything())

    @routes.get("")
    async def page(request: Request) -> Response:
        """What /health/ready says, for people; the version, and archives that are not reached."""
        away = await run_in_threadpool(_away, site.store)
        context = {"checks": await everything(), "away": away, "version": version("sentinode")}
        return site.templates.TemplateResponse(request, "health.html", context)

    return routes


def _away(store: Store) -> Sequence[DestinationState]:
    """Destinations that fail; none where the database, which knows, does not answer."""
    failing = select(DestinationState).where(DestinationState.failing_since.is_not(None))
    try:
        with store.reading() as session:
            return session.scalars(failing.order_by(DestinationState.name)).all()
    except SQLAlchemyError:
        return ()


def _verdict(checks: Sequence[Check]) -> JSONResponse:
    ok = all(check.ok for check in checks)
    content = {"ok": ok, "checks": [asdict(check) for check in checks]}
    return JSONResponse(content, 200 if ok else 503, {"Cache-Control": "no-store"})
