"""Which DICOMweb resources pass the proxy."""

from __future__ import annotations

import pytest

from tests.unit.node.web.conftest import Client

UID = "1.2.840.1"


@pytest.mark.parametrize(
    "path",
    [
        "servers",
        "servers/other/stow",
        "",
        "../instances",
        "studies/../../instances",
        "studies/%2e%2e/%2e%2e/tools/shutdown",
        "studies/..%2f..%2fsystem",
        "studies/%2e/x",
        "studies//series",
        "studies/a%3Fb",
        "studies/a%23b",
        "studies/a%0d%0ab",
    ],
)
def test_other_resources_do_not_exist(client: Client, path: str) -> None:
    """What is not a study, series or instance is answered here, not by the archive."""
    assert client.get(f"/dicom-web/{path}").status_code in (404, 405)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(client: Client, method: str) -> None:
    """The proxy only reads."""
    assert client.ask(method, f"/dicom-web/studies/{UID}").status_code == 405


@pytest.mark.parametrize(
    "path",
    ["studies", f"studies/{UID}/series/{UID}/instances/{UID}/frames/1,2", "instances", "series"],
)
def test_silent_archive_is_bad_gateway(client: Client, path: str) -> None:
    """Resources that pass are asked of the archive; its silence is a clear answer."""
    client.app.state.site.archive.base_url = "http://127.0.0.1:1"
    answer = client.get(f"/dicom-web/{path}")
    assert answer.status_code == 502
    assert "the archive does not answer" in answer.json()["error"]


def test_what_a_browser_sends_is_handed_on_as_it_came(client: Client) -> None:
    """Header fields may have bytes beyond ASCII (RFC 9110 5.5); that is no error of ours."""
    client.app.state.site.archive.base_url = "http://127.0.0.1:1"
    answer = client.get("/dicom-web/studies", headers=[(b"accept", b"caf\xe9")])
    assert answer.status_code == 502
