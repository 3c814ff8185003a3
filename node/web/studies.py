"""The study list and the page of one study, each for people and as JSON; and the Retry button."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import FileResponse, RedirectResponse, Response

from node.errors import NotFoundError
from node.identifiers import is_uid
from node.listing import list_studies
from node.logs import log
from node.retry import retry
from node.settings import Settings
from node.status import study_status
from node.store.tables import Study
from node.web.detail import find_picture, study_page
from node.web.login.gate import Visitor, peer_host
from node.web.metrics import STUDY_STATES
from node.web.security import is_loopback, same_origin
from node.web.site import Site, StudyUID, TheSite

router = APIRouter()


def _known_state(state: Annotated[str, Query()] = "") -> str | None:
    if state and state not in STUDY_STATES:
        raise HTTPException(422, f"no such state; known: {', '.join(STUDY_STATES)}")
    return state or None


State = Annotated[str | None, Depends(_known_state)]
Page = Annotated[int, Query(ge=1, le=1_000_000)]


@router.get("/")
def show_list(request: Request, site: TheSite, state: State = None, page: Page = 1) -> Response:
    """The study list."""
    with site.store.reading() as session:
        found = list_studies(session, state, page)
    if page > found.pages:  # it was there before studies left this state
        wanted = f"state={state}&" if state else ""
        return RedirectResponse(f"/?{wanted}page={found.pages}", 303)
    context = {"found": found, "states": STUDY_STATES}
    return site.templates.TemplateResponse(request, "studies.html", context)


@router.get("/studies/{study_uid}")
def show_study(request: Request, site: TheSite, study_uid: StudyUID) -> Response:
    """The page of one study."""
    with site.store.reading() as session:
        found = study_page(session, site.files, study_uid)
    archive = _archive_page(request, site.settings)
    context = {"page": found, "study": found.status, "archive": archive}
    return site.templates.TemplateResponse(request, "study.html", context)


@router.get("/studies/{study_uid}/pictures/{name}.png")
def show_picture(site: TheSite, study_uid: StudyUID, name: str) -> Response:
    """The overlay picture of one image."""
    if not is_uid(name):
        raise HTTPException(422, "this is not a DICOM UID")
    with site.store.reading() as session:
        study = session.get(Study, study_uid)
    path = find_picture(site.files, study_uid, name, study.revision) if study else None
    if path is None:
        raise NotFoundError("there is no picture of this image")
    headers = {"Cache-Control": "no-store"}
    return FileResponse(path, media_type="image/png", headers=headers)


@router.post("/studies/{study_uid}/retry", dependencies=[Depends(same_origin)])
def retry_from_page(request: Request, site: TheSite, study_uid: StudyUID) -> Response:
    """The Retry button; the page comes back."""
    _retry(request, site, study_uid)
    return RedirectResponse(f"/studies/{study_uid}", 303)


@router.get("/api/studies")
def api_list(site: TheSite, state: State = None, page: Page = 1) -> Any:
    """The study list."""
    with site.store.reading() as session:
        return jsonable_encoder(asdict(list_studies(session, state, page)))


@router.get("/api/studies/{study_uid}")
def api_study(site: TheSite, study_uid: StudyUID) -> Any:
    """The status object of one study."""
    with site.store.reading() as session:
        return study_status(session, study_uid)


@router.post("/api/studies/{study_uid}/retry", dependencies=[Depends(same_origin)])
def api_retry(request: Request, site: TheSite, study_uid: StudyUID) -> Any:
    """Give a failed study another chance; answers with its new status."""
    _retry(request, site, study_uid)
    with site.store.reading() as session:
        return study_status(session, study_uid)


def _archive_page(request: Request, settings: Settings) -> str:
    """The archive's own pages as the reader's browser reaches them; "" where nobody has said.

    ORTHANC_URL is how this process reaches it: in containers a name that no browser knows, and a
    loopback address means the reader's own machine.
    """
    if settings.archive_url:
        return settings.archive_url
    url = httpx.URL(settings.orthanc)
    if not (is_loopback(url.host) and is_loopback(request.url.hostname or "")):
        return ""
    # A name and password in it are this process's, not the reader's.
    return str(url.copy_with(userinfo=b""))


def _retry(request: Request, site: Site, study_uid: str) -> None:
    site.ring(retry(site.store, study_uid))
    visitor: Visitor = request.state.visitor
    facts = {"study_uid": study_uid, "account": visitor.name, "peer_host": peer_host(request)}
    log.info("study put back to work by a person", extra=facts)
