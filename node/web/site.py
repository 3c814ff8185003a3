"""What every request handler needs, made once by `create_app` and handed over by dependency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import httpx
from fastapi import Depends, HTTPException, Path, Request
from fastapi.templating import Jinja2Templates

from node.identifiers import is_uid
from node.job import Bell
from node.settings import Settings
from node.store.files import Files
from node.store.session import Store
from node.web.login.entrance import Entrance


@dataclass(frozen=True, slots=True)
class Site:
    """The parts of one running web process. `ring` publishes what a retry asks for."""

    settings: Settings
    store: Store
    files: Files
    templates: Jinja2Templates
    archive: httpx.AsyncClient
    entrance: Entrance
    ring: Callable[[Bell], object]


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


def _checked_uid(study_uid: Annotated[str, Path()]) -> str:
    if not is_uid(study_uid):
        raise HTTPException(422, "this is not a DICOM UID")
    return study_uid


TheSite = Annotated[Site, Depends(_site)]
StudyUID = Annotated[str, Depends(_checked_uid)]
