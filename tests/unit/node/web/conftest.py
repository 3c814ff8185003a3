"""The application on an empty SQLite database, asked in process: no socket is opened."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from node.job import Bell
from node.settings import Settings, load_settings
from node.store.files import Files
from node.store.migrate import upgrade
from node.store.session import Store
from node.web.app import create_app

ORIGIN = "http://127.0.0.1:8080"


class Client:
    """Sends one request after another to an application."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.ask("GET", path, **options)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any method."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a migrated database; the viewer is not installed."""
    settings = load_settings(
        state_dir=tmp_path / "state", ohif_dir=tmp_path / "ohif", min_free_bytes=0
    )
    upgrade(settings)
    Files(settings.state_dir).prepare()
    return settings


@pytest.fixture
def rung() -> list[Bell]:
    """Return what the application published."""
    return []


@pytest.fixture
def client(settings: Settings, rung: list[Bell]) -> Iterator[Client]:
    """Return a client of the application."""
    app = create_app(settings, rung.append)
    yield Client(app)
    app.state.site.store.close()


@pytest.fixture
def store(client: Client) -> Store:
    """Return the application's own store."""
    store: Store = client.app.state.site.store
    return store


@pytest.fixture
def files(client: Client) -> Files:
    """Return the application's own files."""
    files: Files = client.app.state.site.files
    return files
