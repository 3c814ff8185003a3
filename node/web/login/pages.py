"""The login page and the way out. A plain form: it works without JavaScript.

What must hold: every login is a new session; afterwards the browser goes to a page of this origin
and nowhere else; the answer does not tell whether the name exists.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from node.logs import log
from node.web.forms import read_form
from node.web.login.gate import Visitor, peer_host, set_cookie
from node.web.security import same_origin
from node.web.site import Site, TheSite

router = APIRouter()

_WAY_BACK_CHARACTERS = 2000


@router.get("/login")
def show_login(
    request: Request, site: TheSite, way_back: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """The form, unless it is not needed."""
    visitor: Visitor = request.state.visitor
    if visitor.role is not None:
        return RedirectResponse(local_path(way_back), 303)
    return _page(request, site, local_path(way_back))


@router.post("/login", dependencies=[Depends(same_origin)])
async def log_in(request: Request, site: TheSite) -> Response:
    """Check name and password; then a new session, or the form again with what is wrong."""
    form = await read_form(request)
    # Names are lower case; keyboards of telephones begin with a capital.
    name, way_back = form.get("name", "").strip().lower(), local_path(form.get("next", ""))
    try:
        account = await site.entrance.admit(name, form.get("password", ""), peer_host(request))
    except HTTPException as error:
        return await run_in_threadpool(_page, request, site, way_back, name, error)
    facts = {"account": account.name, "role": account.role, "peer_host": peer_host(request)}
    log.info("login", extra=facts)
    await run_in_threadpool(_end_session, request, site)
    text = await run_in_threadpool(site.entrance.sessions.begin, account)
    cookie = set_cookie(request, site.entrance, text)
    return RedirectResponse(way_back, 303, {"Set-Cookie": cookie})


@router.post("/logout", dependencies=[Depends(same_origin)])
def log_out(request: Request, site: TheSite) -> Response:
    """End the session, on every web process, and have the browser forget what it keeps."""
    visitor: Visitor = request.state.visitor
    if visitor.session is not None:
        _end_session(request, site)
        log.info("logout", extra={"account": visitor.name, "peer_host": peer_host(request)})
    cookie = set_cookie(request, site.entrance, "")
    headers = {"Set-Cookie": cookie, "Clear-Site-Data": '"cache"'}
    return RedirectResponse("/login", 303, headers)


def local_path(text: str) -> str:
    """The way back after the login: a path of this origin, else the first page.

    Browsers take a backslash for a slash and pass over tabs and ends of lines, so that all of
    `//host`, `/\\host` and `/<tab>/host` would lead away.
    """
    printable = all("!" <= letter <= "~" and letter != "\\" for letter in text)
    if not printable or len(text) > _WAY_BACK_CHARACTERS:
        return "/"
    if not text.startswith("/") or text.startswith("//"):
        return "/"
    return "/" if urlsplit(text).path in ("/login", "/logout") else text


def _page(
    request: Request,
    site: Site,
    way_back: str,
    name: str = "",
    error: HTTPException | None = None,
) -> Response:
    context = {"way_back": way_back, "name": name, "error": error.detail if error else ""}
    return site.templates.TemplateResponse(
        request,
        "login.html",
        context,
        status_code=error.status_code if error else 200,
        headers={"Cache-Control": "no-store", **((error and error.headers) or {})},
    )


def _end_session(request: Request, site: Site) -> None:
    visitor: Visitor = request.state.visitor
    if visitor.session is not None:
        site.entrance.sessions.end(visitor.session)
