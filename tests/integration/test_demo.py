"""`sentinode demo` as people run it: twice, on free ports, with every real part."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from stack import ports
from tests.peers import orthanc as orthanc_peer
from tests.peers.needs import need

REPOSITORY = Path(__file__).resolve().parents[2]
SENTINODE = Path(sys.executable).parent / "sentinode"
DEMO_SECONDS = 600.0

pytestmark = [
    pytest.mark.timeout(2 * DEMO_SECONDS),
    pytest.mark.skipif(
        not any((REPOSITORY / "model_repository").glob("*/1/model.onnx")),
        reason="no model is exported: `make models`",
    ),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Return the environment of a demo whose state is temporary; whatever it leaves is stopped."""
    need(orthanc_peer.missing())
    names = [f"SENTINODE_{name.upper()}" for name in ports.LISTENERS]
    chosen = map(str, ports.free_ports(len(names)))
    ours = dict(zip(names, chosen, strict=True))
    ours["SENTINODE_STATE_DIR"] = str(tmp_path_factory.mktemp("demo") / "state")
    ours["SENTINODE_MODEL_REPOSITORY"] = str(REPOSITORY / "model_repository")
    yield {**os.environ, **ours}
    _sentinode({**os.environ, **ours}, "down")


@pytest.fixture(scope="module")
def first(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the demo and leave its stack running."""
    return _sentinode(environment, "demo", "--keep")


def test_the_demo_succeeds(first: subprocess.CompletedProcess[str]) -> None:
    """Findings and the link to the archive are printed, and the status is 0."""
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Orthanc holds all of it once" in first.stdout
    assert "/app/explorer.html#study?uuid=" in first.stdout


def test_the_shipped_models_find_something(first: subprocess.CompletedProcess[str]) -> None:
    """At least one of the drawn lesions is found."""
    assert re.search(r"[1-9][0-9]* of [1-9][0-9]* drawn lesions found", first.stdout)


def test_a_second_run_adds_nothing(
    first: subprocess.CompletedProcess[str], environment: Mapping[str, str]
) -> None:
    """The same study sent again is acknowledged, and the archive holds what it held."""
    assert first.returncode == 0
    before = _instances(environment)
    again = _sentinode(environment, "demo")
    assert again.returncode == 0, again.stdout + again.stderr
    assert _instances(environment) == before
    assert _status(environment)["revision"] == 1


def test_down_stops_it(
    first: subprocess.CompletedProcess[str], environment: Mapping[str, str]
) -> None:
    """After `down` nothing of the stack answers."""
    assert first.returncode == 0
    assert _sentinode(environment, "down").stdout.strip() == "stopped"
    with pytest.raises(httpx.TransportError):
        _instances(environment)


def _sentinode(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SENTINODE, *words],
        env=dict(environment),
        cwd=Path(environment["SENTINODE_STATE_DIR"]).parent,
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )


def _instances(environment: Mapping[str, str]) -> list[str]:
    port = environment["SENTINODE_ORTHANC_HTTP_PORT"]
    return sorted(httpx.get(f"http://127.0.0.1:{port}/instances").json())


def _status(environment: Mapping[str, str]) -> dict[str, object]:
    state = Path(environment["SENTINODE_STATE_DIR"])
    index = json.loads((state / "demo-study" / "index.json").read_text())
    done = _sentinode(environment, "status", index["study_instance_uid"], "--json")
    found: dict[str, object] = json.loads(done.stdout)
    return found
