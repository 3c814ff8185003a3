"""The web process: uvicorn calls `application` after it has set itself up."""

from __future__ import annotations

from fastapi import FastAPI

from node.doorbell import Doorbell
from node.settings import load_settings
from node.web.app import create_app


def application() -> FastAPI:
    """The application for the settings of this process."""
    settings = load_settings()
    return create_app(settings, Doorbell(settings).ring)
