"""Serving a built OHIF beside our own pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.settings import Settings
from node.web.app import create_app
from tests.unit.node.web.conftest import Client


@pytest.fixture
def with_viewer(settings: Settings) -> Client:
    """Return a client of an application with a viewer of three files."""
    settings.ohif_dir.mkdir()
    for name in ("index.html", "app.bundle.0123.js", "app-config.js"):
        (settings.ohif_dir / name).write_text(f"OHIF {name}")
    return Client(create_app(settings))


@pytest.mark.parametrize("path", ["/viewer?StudyInstanceUIDs=1.2", "/viewer/dicomweb"])
def test_viewer_routes_get_its_page(with_viewer: Client, path: str) -> None:
    """OHIF routes by itself below /viewer."""
    answer = with_viewer.get(path)
    assert answer.text == "OHIF index.html"
    assert "'unsafe-eval'" in answer.headers["content-security-policy"]
    assert "http" not in answer.headers["content-security-policy"]


def test_viewer_files_are_the_last_resort(with_viewer: Client) -> None:
    """Its files are served, hashed ones for good; our pages and 404 remain ours."""
    answer = with_viewer.get("/app.bundle.0123.js")
    assert answer.text == "OHIF app.bundle.0123.js"
    assert "immutable" in answer.headers["cache-control"]
    assert "<h1>Studies</h1>" in with_viewer.get("/").text
    missing = with_viewer.get("/nothing.js")
    assert missing.status_code == 404
    assert "Sentinode" in missing.text
    assert with_viewer.get("/%2e%2e/state/sentinode.db").status_code == 404


def test_configuration_is_ours_and_stays_here(with_viewer: Client) -> None:
    """The viewer's only data source is this origin."""
    text = with_viewer.get("/app-config.js").text
    assert "window.location.origin + '/dicom-web'" in text
    assert "http" not in text.replace("HTTP/1.1", "").replace("httpErrorHandler", "")


def test_missing_viewer_says_how_to_get_it(client: Client, settings: Settings) -> None:
    """Without OHIF its address explains itself, and everything else works."""
    assert not Path(settings.ohif_dir).exists()
    answer = client.get("/viewer?StudyInstanceUIDs=1.2")
    assert answer.status_code == 503
    assert "is not installed" in answer.text
    assert client.get("/").status_code == 200
