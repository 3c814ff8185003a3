"""Short answers: JSON for programs, a page for people, the same words for both."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from node.web.site import Site

# What a person reads above the text; the names of RFC 9110 are for programs.
_TITLES = {
    403: "Not allowed",
    404: "Not found",
    422: "Not understood",
    502: "The archive does not answer",
    503: "Not available now",
}


def answer(
    request: Request, status: int, text: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Say `text` with an HTTP status, in the form that the path promises."""
    path = request.url.path
    if path.startswith(("/api/", "/dicom-web/", "/health/")):
        return JSONResponse({"error": text}, status, headers)
    site: Site = request.app.state.site
    context = {"title": _TITLES.get(status, "Not possible"), "text": text}
    return site.templates.TemplateResponse(request, "message.html", context, status, headers)
