"""Probes for orchestrators: alive, started, ready. Each says in JSON what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from node.health import Check, check_migrations, readiness
from node.web.site import TheSite

router = APIRouter(prefix="/health")


@router.get("/live")
async def live() -> JSONResponse:
    """This process's own loop turns; nothing else is asked, so no peer's fault restarts it."""
    return JSONResponse({"ok": True})


@router.get("/startup")
def startup(site: TheSite) -> JSONResponse:
    """The database has the tables that this version needs."""
    return _verdict([check_migrations(site.store)])


@router.get("/ready")
def ready(site: TheSite) -> JSONResponse:
    """A study could come in now and its results could go out."""
    return _verdict(readiness(site.store, site.files, site.settings))


def _verdict(checks: Sequence[Check]) -> JSONResponse:
    ok = all(check.ok for check in checks)
    content = {"ok": ok, "checks": [asdict(check) for check in checks]}
    return JSONResponse(content, 200 if ok else 503, {"Cache-Control": "no-store"})
