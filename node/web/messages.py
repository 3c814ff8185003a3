"""Short answers: JSON for programs, a page for people, the same words for both."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from node.web.site import Site


def answer(
    request: Request, status: int, text: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Say `text` with an HTTP status, in the form that the path promises."""
    path = request.url.path
    if path.startswith(("/api/", "/dicom-web/", "/health/")):
        return JSONResponse({"error": text}, status, headers)
    site: Site = request.app.state.site
    context = {"title": HTTPStatus(status).phrase, "text": text}
    return site.templates.TemplateResponse(request, "message.html", context, status, headers)
