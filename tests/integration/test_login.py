"""The login through real web processes: two replicas on one state folder, and the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.settings import load_settings
from node.store.migrate import upgrade
from node.store.session import open_store
from stack.process import running
from tests.peers.node import environment
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port, free_ports
from tests.unit.docker.scripts import load
from tests.unit.node.web.rows import add_study

SENTINODE = str(Path(sys.executable).with_name("sentinode"))
ADMIN_PASSWORD = "7Vd2kL0qWm_sN1bXz8cR4tYh6uJ3pE5a"
READER_PASSWORD = "correct horse battery"
PAGE = {"accept": "text/html"}


class Site:
    """Web processes for a network, with one state folder; `values` are their settings."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.folder = folder
        (folder / "web-password").write_text(f"{ADMIN_PASSWORD}\n")
        (folder / "stow-token").write_text("stow-secret\n")
        self.values: dict[str, Any] = {
            "state_dir": folder / "state",
            "http_host": "0.0.0.0",
            "broker_url": f"redis://127.0.0.1:{free_port()}/0",
            "min_free_bytes": 0,
            "web_admin_password_file": folder / "web-password",
            "stow_token_file": folder / "stow-token",
            **more,
        }
        self.settings = load_settings(**self.values)
        upgrade(self.settings)

    def process(self, port: int) -> Any:
        """Run one of them; a context manager."""
        values = {**self.values, "http_port": port}
        live = f"http://127.0.0.1:{port}/health/live"
        argv = [SENTINODE, "run", "web"]
        log = self.folder / f"web-{port}.log"
        return running(argv, log, lambda: _answers(live), environment=environment(values))

    def account(self, *words: str, password: str = "") -> str:
        """Run `sentinode account` beside them."""
        done = subprocess.run(
            [SENTINODE, "account", *words],
            env=environment(self.values),
            input=password,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    def lines(self) -> list[dict[str, Any]]:
        """What they have logged."""
        texts = [path.read_text() for path in sorted(self.folder.glob("web-*.log"))]
        lines = "".join(texts).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def browser(port: int) -> httpx.Client:
    """A client that keeps cookies, as a browser does."""
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)


def log_in(client: httpx.Client, name: str, password: str, **headers: str) -> httpx.Response:
    """Send the form of the login page."""
    data = {"name": name, "password": password, "next": "/?state=failed"}
    origin = f"http://{client.base_url.netloc.decode()}"
    return client.post("/login", data=data, headers={**PAGE, "origin": origin, **headers})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with a reader, rita."""
    site = Site(tmp_path)
    site.account("rita", "--password-stdin", password=READER_PASSWORD)
    return site


def test_every_process_knows_accounts_and_sessions(site: Site) -> None:
    """Log in at one, look at the other; log out at one, the other knows; restarts end nothing."""
    first, second = free_ports(2)
    with ExitStack() as stack:
        stack.enter_context(site.process(second))
        client, copy = (stack.enter_context(browser(port)) for port in (first, second))
        with site.process(first):
            assert client.get("/", headers=PAGE).headers["location"] == "/login"
            came = log_in(client, "rita", READER_PASSWORD)
            assert (came.status_code, came.headers["location"]) == (303, "/?state=failed")
        with site.process(first):
            assert "rita (reader)" in client.get("/", headers=PAGE).text
            copy.cookies.update(client.cookies)
            assert copy.get("/api/studies").status_code == 200
            assert client.post("/logout").status_code == 303
            assert copy.get("/api/studies").status_code == 401
            # Both come to the same hash of the password that a deployment made.
            assert log_in(client, "admin", ADMIN_PASSWORD).status_code == 303
            copy.cookies = client.cookies
            assert copy.get("/api/studies").status_code == 200


def test_changes_of_accounts_are_in_force_at_once(site: Site) -> None:
    """By the command, while people are logged in: role, password, removal; without a restart."""
    port = free_port()
    store = open_store(site.settings)
    uid = add_study(store, state="failed", delivery_state="refused")
    store.close()
    with site.process(port), browser(port) as client:
        retry = f"/api/studies/{uid}/retry"
        assert log_in(client, "rita", READER_PASSWORD).status_code == 303
        assert client.post(retry).status_code == 403
        site.account("rita", "--role", "operator", "--keep-password")
        assert client.post(retry).status_code == 401
        assert log_in(client, "rita", READER_PASSWORD).status_code == 303
        assert client.post(retry).json()["state"] == "delivering"
        site.account("rita", "--password-stdin", password="staple zebra umbrella")
        assert client.get("/api/studies").status_code == 401
        assert log_in(client, "rita", READER_PASSWORD).status_code == 401
        assert log_in(client, "rita", "staple zebra umbrella").status_code == 303
        assert site.account().split() == ["rita", "operator"]
        site.account("rita", "--remove")
        assert client.get("/api/studies").status_code == 401
        program = client.get("/api/studies", auth=("admin", ADMIN_PASSWORD))
        assert program.status_code == 200


def test_what_is_open_and_what_is_not(site: Site) -> None:
    """Probes, metrics, the form and its files; STOW-RS by its token; nothing else."""
    port = free_port()
    with site.process(port), browser(port) as client:
        for path in ("/health/live", "/metrics", "/login", "/static/sentinode.css"):
            assert client.get(path).status_code == 200, path
        for path in ("/", "/api/studies", "/dicom-web/studies", "/viewer", "/app-config.js"):
            assert client.get(path).status_code == 401, path
        body = {"content": b"x", "headers": {"content-type": "text/plain"}}
        assert client.post("/dicom-web/studies", **body).status_code == 401
        body["headers"]["authorization"] = "Bearer stow-secret"
        assert client.post("/dicom-web/studies", **body).status_code == 415
        # The token of senders is no login, and the login is no token of senders.
        bearer = {"authorization": "Bearer stow-secret"}
        assert client.get("/dicom-web/studies", headers=bearer).status_code == 401
        log_in(client, "admin", ADMIN_PASSWORD)
        assert client.post("/dicom-web/studies", content=b"x").status_code == 401


def test_viewer_reaches_the_archive_with_a_session(tmp_path: Path, orthanc: Orthanc) -> None:
    """The proxy streams to who is logged in, and its answers are not stored."""
    site, port = Site(tmp_path, orthanc_url=orthanc.url), free_port()
    with site.process(port), browser(port) as client:
        log_in(client, "admin", ADMIN_PASSWORD)
        answer = client.get("/dicom-web/studies")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        basic = httpx.get(
            f"http://127.0.0.1:{port}/dicom-web/studies",
            auth=("admin", ADMIN_PASSWORD),
            timeout=60,
            trust_env=False,
        )
        assert basic.json() == answer.json()


def test_the_charts_test_asks_as_admin(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `helm test` runs is told the state with the generated password, and not with another."""
    port = free_port()
    store = open_store(site.settings)
    uid = add_study(store)
    store.close()
    monkeypatch.setenv("TEST_WEB", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("TEST_ACCOUNT", "admin")
    ask = load("helm/sentinode/files/send_study.py").ask
    with site.process(port):
        monkeypatch.setenv("TEST_PASSWORD", f"{ADMIN_PASSWORD}\n")
        assert ask(uid)["state"] == "done"
        monkeypatch.setenv("TEST_PASSWORD", "not the password")
        assert ask(uid) is None


@pytest.mark.parametrize(("trusted", "secure"), [("127.0.0.1", True), ("192.0.2.1", False)])
def test_a_trusted_proxy_says_how_it_was_called(tmp_path: Path, trusted: str, secure: bool) -> None:
    """By TLS, and by whom: cookies are kept to TLS, and wrong passwords count by person."""
    site, port = Site(tmp_path, http_trusted_proxies=trusted), free_port()
    tls = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7"}
    with site.process(port), browser(port) as client:
        cookie = log_in(client, "admin", ADMIN_PASSWORD, **tls).headers["set-cookie"]
        assert ("Secure" in cookie.split("; ")) == secure
        assert cookie.startswith("__Host-") == secure
        for number in range(6):
            last = log_in(
                client,
                "admin",
                "not the password",
                **{**tls, "x-forwarded-for": f"192.0.2.{10 + number}"},
            )
        assert last.status_code == (401 if secure else 429)
    hosts = {line["peer_host"] for line in site.lines() if line["message"] == "login"}
    assert hosts == {"192.0.2.7" if secure else "127.0.0.1"}


def test_parallel_guesses_are_counted_before_they_are_judged(site: Site) -> None:
    """Twenty at the same moment are five tries, as twenty one after another are."""
    port = free_port()
    with site.process(port), ThreadPoolExecutor(20) as threads:

        def guess(number: int) -> int:
            with browser(port) as client:
                return log_in(client, "rita", f"wrong password {number}").status_code

        answers = list(threads.map(guess, range(20)))
        assert sorted(answers) == [401] * 5 + [429] * 15
        with browser(port) as client:
            right = log_in(client, "rita", READER_PASSWORD)
            assert right.status_code == 429
            assert int(right.headers["retry-after"]) > 0
            assert client.get("/health/live").status_code == 200


def test_the_log_names_account_and_host(site: Site) -> None:
    """Start, login, failure and logout; no password, not even one in the field of the name."""
    port = free_port()
    with site.process(port), browser(port) as client:
        log_in(client, "rita", READER_PASSWORD)
        client.post("/logout")
        log_in(client, READER_PASSWORD, "rita")
        log_in(client, "rita", "not the password")
    lines = site.lines()
    [start] = [line for line in lines if line["message"].startswith("web login")]
    assert (start["accounts"], Path(start["admin_password_file"]).name) == (2, "web-password")
    found = [(line["message"], line["account"]) for line in lines if "account" in line]
    assert found == [
        ("login", "rita"),
        ("logout", "rita"),
        ("login failed", "unknown"),
        ("login failed", "rita"),
    ]
    text = json.dumps(lines)
    assert not re.search(f"{READER_PASSWORD}|{ADMIN_PASSWORD}|not the password", text)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[tuple[Site, httpx.Client]]:
    """Return a site without any account, and its process."""
    site, port = Site(tmp_path, web_admin_password_file=""), free_port()
    with site.process(port), browser(port) as client:
        yield site, client


def test_without_accounts_it_says_what_to_type(empty: tuple[Site, httpx.Client]) -> None:
    """On pages, for programs and in the log; typing it is enough."""
    site, client = empty
    for path in ("/", "/login", "/api/studies", "/viewer"):
        answer = client.get(path, headers=PAGE)
        assert answer.status_code == 503
        assert "sentinode account NAME --role operator" in answer.text
    assert any("sentinode account NAME" in line["message"] for line in site.lines())
    site.account("olga", "--role", "operator", "--password-stdin", password=READER_PASSWORD)
    assert client.get("/", headers=PAGE).status_code == 303
    assert log_in(client, "olga", READER_PASSWORD).status_code == 303
    assert client.get("/", headers=PAGE).status_code == 200
