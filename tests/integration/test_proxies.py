"""A proxy that the environment names is for nobody: Docker puts the site's into containers."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from stack.archive import instances
from stack.health import models_ready

ROOT = Path(__file__).resolve().parents[2]
# Nothing listens there.
DEAD = "http://127.0.0.1:9"


class _Answers(BaseHTTPRequestHandler):
    """Triton's index of one model, and an archive without series."""

    def do_POST(self) -> None:
        self._say([{"name": "mtu_net", "state": "READY"}])

    def do_GET(self) -> None:
        self._say([])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _say(self, rows: list[dict[str, str]]) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps(rows).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Its URL, while the environment names a proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, DEAD)
        monkeypatch.setenv(name.upper(), DEAD)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with HTTPServer(("127.0.0.1", 0), _Answers) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def test_the_stack_and_the_demo_ask_past_it(server: str) -> None:
    """`up` waits for Triton, and the demo asks the archive, themselves."""
    assert models_ready(server)
    assert instances(server, "1.2.3", "SEG") == []


def test_every_http_client_leaves_the_environment_alone() -> None:
    """Results and passwords would go where a stray variable says."""
    folders = ("node", "workers", "stack", "helm/sentinode/files")
    calls = [
        (path.relative_to(ROOT), call)
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and _is_client(call.func)
    ]
    assert len(calls) >= 5
    for path, call in calls:
        told = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert told.get("trust_env") == "False", (path, call.lineno)


def _is_client(function: ast.expr) -> bool:
    names = ("Client", "AsyncClient", "get", "post", "put", "delete", "request", "stream")
    return ast.unparse(function) in {f"httpx.{name}" for name in names}
