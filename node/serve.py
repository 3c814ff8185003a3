"""The web process: uvicorn calls `application` after it has set itself up.

Beside the pages it has the door for STOW-RS, which they know nothing of.
"""

from __future__ import annotations

import threading

from fastapi import FastAPI

from node.doorbell import Doorbell
from node.job import Bell
from node.settings import load_settings
from node.stow.door import Door
from node.web.app import create_app


def application() -> FastAPI:
    """The application for the settings of this process."""
    settings = load_settings()
    doorbell = Doorbell(settings)

    def ring(bell: Bell) -> None:
        # Beside the request: a broker that is away costs seconds, and the sweeper rings anyway.
        threading.Thread(target=doorbell.ring, args=(bell,), daemon=True).start()

    return create_app(settings, ring, [Door(settings).router])
