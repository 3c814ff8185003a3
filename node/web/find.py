"""The search field: from what a person has at hand to the page of a study.

In: a Study Instance UID, Accession Number or Patient ID. Out: the study's page, a list where there
are several, else what to look at. What must hold: what was typed, mostly a patient's value, stands
on no page and in no address, and so in no history and no proxy's log: the form is a POST. Like a
look it needs no operator.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from node.listing import PAGE_SIZE, find_studies
from node.web.forms import read_form
from node.web.security import same_origin
from node.web.site import Site, TheSite

router = APIRouter()


@router.post("/find", dependencies=[Depends(same_origin)])
async def find(request: Request, site: TheSite) -> Response:
    """What has this UID, Accession Number or Patient ID."""
    text = (await read_form(request)).get("text", "").strip()
    return await run_in_threadpool(_answer, request, site, text)


@router.get("/find")
def without_form() -> Response:
    """Somebody has typed the address, or came back from the login."""
    return RedirectResponse("/", 303)


def _answer(request: Request, site: Site, text: str) -> Response:
    if not text:
        return RedirectResponse("/", 303)
    with site.store.reading() as session:
        lines = find_studies(session, text)
    if len(lines) == 1:
        return RedirectResponse(f"/studies/{lines[0].study_uid}", 303)
    context = {"lines": lines, "most": PAGE_SIZE}
    return site.templates.TemplateResponse(request, "found.html", context)
