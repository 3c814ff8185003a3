"""The web process among real peers: readiness proven by stopping them, the proxy by an archive."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.dataset import FileDataset

from node.listing import list_studies
from node.process import beat
from node.settings import Settings, load_settings
from node.store.files import Files
from node.store.migrate import upgrade
from node.store.session import Store, open_store
from node.web.detail import study_page
from stack.process import running
from tests import datasets
from tests.peers import redis as redis_peer
from tests.peers.needs import need
from tests.peers.node import environment, running_role
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port, free_ports
from tests.peers.redis import RedisServer, running_redis
from tests.unit.node.web.rows import add_study

PATIENCE_SECONDS = 30.0


@pytest.fixture
def redis_of_its_own() -> Iterator[RedisServer]:
    """A Redis that the test may stop."""
    need(redis_peer.missing())
    with running_redis() as server:
        yield server


def _web(values: dict[str, Any], folder: Path) -> Any:
    """Run `sentinode run web`; a context manager."""
    url = f"http://127.0.0.1:{values['http_port']}"
    argv = [str(Path(sys.executable).with_name("sentinode")), "run", "web"]
    live = f"{url}/health/live"
    return running(
        argv, folder / "web.log", lambda: _answers(live), environment=environment(values)
    )


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _failing(url: str) -> set[str]:
    """Names of the checks that fail."""
    answer = httpx.get(f"{url}/health/ready", timeout=20, trust_env=False)
    failing = {check["name"] for check in answer.json()["checks"] if not check["ok"]}
    assert answer.status_code == (503 if failing else 200)
    return failing


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_ready_follows_each_peer_down_and_up(tmp_path: Path, redis_of_its_own: RedisServer) -> None:
    """Readiness names the part that stopped, and comes back with it."""
    http_port, dicom_port = free_ports(2)
    values = {
        "state_dir": tmp_path / "state",
        "http_port": http_port,
        "dicom_port": dicom_port,
        "broker_url": redis_of_its_own.url,
        "min_free_bytes": 0,
    }
    settings, url = load_settings(**values), f"http://127.0.0.1:{http_port}"
    upgrade(settings)
    store = open_store(settings)
    with ExitStack() as stack:
        stack.callback(store.close)
        stack.enter_context(_web(values, tmp_path))
        assert _failing(url) == {"receive", "sweep", "worker"}

        stack.enter_context(running_role(values, "sweep", log=tmp_path / "sweep.log"))
        receiver = stack.enter_context(
            running_role(
                values, "receive", log=tmp_path / "receive.log", ready_text="receiver listens"
            )
        )
        beat(store, "worker@test:1", "worker")
        _until(lambda: _failing(url) == set())

        redis_of_its_own.stop()
        assert _failing(url) == {"broker"}
        with running_redis(redis_of_its_own.port):
            assert _failing(url) == set()
            # The heartbeat of a killed receiver is still fresh; only its port tells.
            receiver.kill()
            receiver.wait()
            assert _failing(url) == {"receive"}


def test_full_disk_is_not_ready(tmp_path: Path, redis_of_its_own: RedisServer) -> None:
    """A node that would refuse every C-STORE says so."""
    values = {
        "state_dir": tmp_path / "state",
        "http_port": free_port(),
        "broker_url": redis_of_its_own.url,
        "min_free_bytes": 1 << 60,
    }
    upgrade(load_settings(**values))
    with _web(values, tmp_path):
        assert "disk" in _failing(f"http://127.0.0.1:{values['http_port']}")


@pytest.fixture
def stored(orthanc: Orthanc) -> FileDataset:
    """A mammogram in the archive."""
    dataset = datasets.mammogram()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    httpx.post(
        f"{orthanc.url}/instances", content=buffer.getvalue(), trust_env=False
    ).raise_for_status()
    return dataset


@pytest.fixture
def proxy(tmp_path: Path, orthanc: Orthanc) -> Iterator[httpx.Client]:
    """A client of a web process in front of the archive."""
    with _before(orthanc.url, tmp_path) as client:
        yield client


@contextmanager
def _before(archive: str, folder: Path) -> Iterator[httpx.Client]:
    port = free_port()
    values = {"state_dir": folder / "state", "http_port": port, "orthanc_url": archive}
    upgrade(load_settings(**values))
    url = f"http://127.0.0.1:{port}"
    with (
        _web(values, folder),
        httpx.Client(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield client


def test_proxy_answers_as_the_archive(
    proxy: httpx.Client, orthanc: Orthanc, stored: FileDataset
) -> None:
    """Query, metadata and pixels are the archive's own, byte for byte."""
    study = f"studies/{stored.StudyInstanceUID}"
    for resource in (
        f"studies?StudyInstanceUID={stored.StudyInstanceUID}&includefield=00081030,00080060",
        f"{study}/series",
    ):
        direct = httpx.get(f"{orthanc.dicomweb_url}/{resource}", trust_env=False)
        through = proxy.get(f"/dicom-web/{resource}")
        assert len(through.json()) == len(direct.json()) == 1
        assert through.headers["content-type"] == direct.headers["content-type"]
    instance = f"{study}/series/{stored.SeriesInstanceUID}/instances/{stored.SOPInstanceUID}"
    frame = proxy.get(
        f"/dicom-web/{instance}/frames/1",
        headers={"accept": 'multipart/related; type="application/octet-stream"'},
    )
    assert stored.PixelData in frame.content
    whole = proxy.get(f"/dicom-web/{instance}", headers={"accept": "multipart/related"})
    assert b"DICM" in whole.content
    start = whole.content.index(b"\r\n\r\n") + 4
    read = pydicom.dcmread(io.BytesIO(whole.content[start:]))
    assert read.SOPInstanceUID == stored.SOPInstanceUID


class _Hasty(BaseHTTPRequestHandler):
    """Keeps a connection after its first answer, and ends it as the next request arrives."""

    protocol_version = "HTTP/1.1"
    answered = 0

    def do_GET(self) -> None:
        self.close_connection = self.answered > 0
        if self.close_connection:
            return
        self.answered += 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: Any) -> None:
        pass


def test_connection_that_the_archive_ends_costs_no_answer(tmp_path: Path) -> None:
    """A kept connection may end while a request is on its way; the request is made again."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hasty) as archive:
        threading.Thread(target=archive.serve_forever, args=(0.05,), daemon=True).start()
        with _before(f"http://127.0.0.1:{archive.server_port}", tmp_path) as proxy:
            answers = [proxy.get("/dicom-web/studies") for _ in range(5)]
        archive.shutdown()
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "[]")] * 5


class _Unwilling(BaseHTTPRequestHandler):
    """Answers with the status that the last word of the path names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("Location", "http://elsewhere.invalid/")
        self.send_header("WWW-Authenticate", 'Basic realm="archive"')
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_what_the_archive_has_against_the_node_is_not_the_readers(tmp_path: Path) -> None:
    """Of a 401 the viewer would think that its session has ended, and load itself for ever."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Unwilling) as archive:
        threading.Thread(target=archive.serve_forever, args=(0.05,), daemon=True).start()
        with _before(f"http://127.0.0.1:{archive.server_port}", tmp_path) as proxy:
            found = {
                status: proxy.get(f"/dicom-web/studies/{status}")
                for status in (200, 301, 302, 304, 401, 403, 404, 407)
            }
        archive.shutdown()
    assert {status: answer.status_code for status, answer in found.items()} == {
        **{status: status for status in (200, 304, 403, 404)},
        **dict.fromkeys((301, 302, 401, 407), 502),
    }
    assert "ORTHANC_PASSWORD_FILE" in found[401].json()["error"]
    assert "ORTHANC_URL" in found[302].json()["error"]


class _Hanging(BaseHTTPRequestHandler):
    """Answers nothing about one study until it is told to."""

    released = threading.Event()

    def do_GET(self) -> None:
        if self.path.endswith("/hangs"):
            self.released.wait(120)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_requests_that_a_viewer_left_keep_nothing_from_others(tmp_path: Path) -> None:
    """Each held one of a hundred connections to the archive, for a minute where that hangs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hanging) as archive:
        archive.daemon_threads = True
        threading.Thread(target=archive.serve_forever, args=(0.05,), daemon=True).start()
        with _before(f"http://127.0.0.1:{archive.server_port}", tmp_path) as proxy:

            def leave(_: int) -> None:
                with suppress(httpx.TimeoutException):
                    httpx.get(
                        f"{proxy.base_url}/dicom-web/studies/hangs", timeout=1, trust_env=False
                    )

            with ThreadPoolExecutor(20) as viewers:
                list(viewers.map(leave, range(120)))
            assert proxy.get("/dicom-web/studies", timeout=15).status_code == 200
        _Hanging.released.set()
        archive.shutdown()


def test_links_in_metadata_lead_back_to_the_proxy(
    proxy: httpx.Client, orthanc: Orthanc, stored: FileDataset
) -> None:
    """The browser can follow them; the archive's own address stays inside."""
    text = proxy.get(f"/dicom-web/studies/{stored.StudyInstanceUID}/metadata").text
    assert str(orthanc.http_port) not in json.dumps(_links(json.loads(text)))
    assert _links(json.loads(text))


def test_proxy_reaches_nothing_but_dicomweb(proxy: httpx.Client, orthanc: Orthanc) -> None:
    """Neither the archive's REST API nor its storing is reached, and errors keep their status."""
    for path in ("servers", "..%2fsystem", "studies%2f..%2f..%2fsystem", "../instances"):
        assert proxy.get(f"/dicom-web/{path}").status_code in (404, 405)
    # STOW-RS of the node itself, which stores into its own inbox.
    assert proxy.post("/dicom-web/studies", content=b"x").status_code == 415
    assert proxy.post("/dicom-web/studies/1.2.3/series", content=b"x").status_code == 405
    direct = httpx.get(f"{orthanc.dicomweb_url}/studies/1.2.3/metadata", trust_env=False)
    assert proxy.get("/dicom-web/studies/1.2.3/metadata").status_code == direct.status_code


def test_pages_and_beats_on_both_databases(settings: Settings, store: Store) -> None:
    """Every query of the pages runs on SQLite and on PostgreSQL."""
    files = Files(settings.state_dir)
    uid = add_study(store, 1)
    add_study(store, 2, state="failed", failed_run="out of memory")
    beat(store, "worker@test:1", "worker")
    beat(store, "worker@test:1", "worker")
    with store.reading() as session:
        found = list_studies(session)
        page = study_page(session, files, uid)
    assert [line.findings for line in found.lines] == [0, 1]
    assert found.counts == {"done": 1, "failed": 1}
    assert [len(image.findings) for image in page.images] == [1]


def _links(value: Any) -> list[str]:
    """Every BulkDataURI and RetrieveURL below a DICOM JSON value."""
    if isinstance(value, list):
        return [link for item in value for link in _links(item)]
    if not isinstance(value, dict):
        return [value] if isinstance(value, str) and value.startswith("http") else []
    return [link for item in value.values() for link in _links(item)]
