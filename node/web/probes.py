"""Probes for orchestrators: alive, started, ready. Each says in JSON what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from node.health import Check, check_migrations, readiness
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

    return routes


def _verdict(checks: Sequence[Check]) -> JSONResponse:
    ok = all(check.ok for check in checks)
    content = {"ok": ok, "checks": [asdict(check) for check in checks]}
    return JSONResponse(content, 200 if ok else 503, {"Cache-Control": "no-store"})
