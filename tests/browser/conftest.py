"""The browser, the viewer's files and a real web process in front of a real Orthanc."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome

from node.settings import load_settings
from node.store.files import Files
from node.store.migrate import upgrade
from node.store.session import Store, open_store
from stack.process import running
from tests.browser import chromium
from tests.peers.node import environment
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port

_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Web:
    """A running web process and the state that it shows."""

    url: str
    store: Store
    files: Files
    orthanc: Orthanc


def _need(missing: str | None) -> None:
    """Skip where something is missing; in CI, where nothing may be, fail."""
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """Return a headless Chromium."""
    _need(chromium.missing())
    with chromium.running_chromium() as driver:
        yield driver


@pytest.fixture(scope="session")
def ohif_dir() -> Path:
    """Return the folder of the built OHIF."""
    folder = Path(os.environ.get("SENTINODE_OHIF_DIR", _REPOSITORY / ".ohif" / "dist"))
    found = (folder / "index.html").is_file()
    _need(None if found else f"OHIF is not in {folder}: make viewer, or set SENTINODE_OHIF_DIR")
    return folder


@pytest.fixture(scope="session")
def web(
    tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc, ohif_dir: Path
) -> Iterator[Web]:
    """Return a web process on a free port, with an empty database."""
    with running_web(tmp_path_factory.mktemp("web"), orthanc, ohif_dir) as web:
        yield web


@contextmanager
def running_web(folder: Path, orthanc: Orthanc, ohif_dir: Path) -> Iterator[Web]:
    """Run a web process with its state in `folder` until the block ends."""
    port = free_port()
    values = {
        "state_dir": folder / "state",
        "http_port": port,
        "orthanc_url": orthanc.url,
        "ohif_dir": ohif_dir,
        "broker_url": f"redis://127.0.0.1:{free_port()}/0",
    }
    settings = load_settings(**values)
    files = Files(settings.state_dir)
    files.prepare()
    upgrade(settings)
    store = open_store(settings)
    url = f"http://127.0.0.1:{port}"
    argv = [str(Path(sys.executable).with_name("sentinode")), "run", "web"]
    log = folder / "web.log"
    with running(argv, log, lambda: _lives(url), environment=environment(values)):
        yield Web(url, store, files, orthanc)
    store.close()


def _lives(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
