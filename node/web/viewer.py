"""The built OHIF viewer, served at the root of this origin as its build expects.

Our own routes come first. /viewer and whatever it routes by itself get its page, with our
configuration; its other files are the last resort of the application. Where no OHIF is installed,
/viewer says how to get it.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from node.web.messages import answer
from node.web.security import VIEWER_POLICY

INSTALL = "the OHIF viewer is not installed; run `make viewer` or set SENTINODE_OHIF_DIR"
_CONFIGURATION = Path(__file__).parent / "static" / "app-config.js"
_HEADERS = {"Content-Security-Policy": VIEWER_POLICY}


class ViewerFiles(StaticFiles):
    """OHIF's own files, with the policy that they need."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file; those whose name carries a hash never change."""
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if ".bundle." in path else "no-cache"
        )
        return response


def install(app: FastAPI, ohif_dir: Path) -> None:
    """Add the viewer's routes. Call last: its files are a fallback for every path."""
    page = ohif_dir / "index.html"
    installed = page.is_file()

    @app.get("/viewer")
    @app.get("/viewer/{inner:path}")
    def viewer(request: Request) -> Response:
        if not installed:
            return answer(request, 503, INSTALL)
        return FileResponse(page, headers={**_HEADERS, "Cache-Control": "no-cache"})

    @app.get("/app-config.js")
    def configuration() -> FileResponse:
        return FileResponse(_CONFIGURATION, headers={**_HEADERS, "Cache-Control": "no-cache"})

    if installed:
        app.mount("/", ViewerFiles(directory=ohif_dir))
