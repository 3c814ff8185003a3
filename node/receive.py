"""The receiver as a process: recover, listen, beat, stop in an orderly way."""

from __future__ import annotations

import threading

from node.association import open_listener
from node.instance import Reception
from node.logs import log
from node.process import beat_until
from node.routes import load_routes
from node.settings import Settings
from node.store.files import Files
from node.store.session import open_store


def run_receiver(settings: Settings, stop: threading.Event) -> None:
    """Serve associations until `stop` is set. Raises ConfigurationError."""
    files = Files(settings.state_dir)
    files.prepare()
    discarded = files.discard_incoming()
    store = open_store(settings)
    reception = Reception(settings, store, files, load_routes(settings.routes))
    server = open_listener(reception)
    log.info(
        "receiver listens",
        extra={
            "ae_title": settings.ae_title,
            "port": settings.dicom_port,
            "discarded_partial_files": discarded,
        },
    )
    beat_until(stop, store, "receive")
    server.shutdown()
    store.close()
