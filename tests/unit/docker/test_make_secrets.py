"""Passwords of the Compose services: made once, kept, and only where their readers are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from node.web.login.passwords import fault
from tests.unit.docker.scripts import load


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, writing into empty volumes."""
    module = load("docker/compose/make_secrets.py")
    for reader in ("node", "postgresql", "redis", "orthanc"):
        (tmp_path / "readers" / reader).mkdir(parents=True)
    (tmp_path / "given").mkdir()
    monkeypatch.setattr(module, "READERS", tmp_path / "readers")
    monkeypatch.setattr(module, "GIVEN", tmp_path / "given")
    return module


def run(
    module: Any, monkeypatch: pytest.MonkeyPatch, database: str, given: str = ""
) -> dict[str, str]:
    """Run it; every file that is there afterwards."""
    argv = ["make_secrets.py", "--database", database, f"--given={given}"]
    monkeypatch.setattr(sys, "argv", argv)
    module.main()
    files = [path for path in module.READERS.rglob("*") if path.is_file()]
    return {str(path.relative_to(module.READERS)): path.read_text() for path in files}


def test_passwords_are_made_once(secrets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run changes no file; four passwords differ and are long."""
    first = run(secrets, monkeypatch, "postgresql")
    assert run(secrets, monkeypatch, "postgresql") == first
    made = {first[f"node/{name}"] for name in secrets.NAMES}
    assert len(made) == 4
    assert min(map(len, made)) >= 40


def test_each_reader_gets_its_own_password(secrets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PostgreSQL, Redis and Orthanc read is what the node's URLs and files say."""
    found = run(secrets, monkeypatch, "postgresql")
    assert found["postgresql/password"] in found["node/sentinode_database_url"]
    assert f"requirepass {found['redis/password']}" in found["redis/redis.conf"]
    assert found["redis/password"] in found["node/sentinode_broker_url"]
    users = json.loads(found["orthanc/sentinode.json"])["RegisteredUsers"]
    assert users == {"sentinode": found["node/orthanc-password"]}
    others = "".join(text for name, text in found.items() if name.startswith("redis/"))
    assert found["postgresql/password"] not in others


def test_web_password_is_one_that_the_web_process_takes(
    secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches the volume that the web process mounts, and passes the rules for passwords."""
    assert fault(run(secrets, monkeypatch, "sqlite")["node/web-password"], "admin") is None


def test_given_passwords_win(secrets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the administrator's is used; one with letters that URLs quote is refused."""
    run(secrets, monkeypatch, "postgresql")
    (secrets.GIVEN / "redis-password").write_text("chosen-by-hand\n")
    assert run(secrets, monkeypatch, "postgresql")["redis/password"] == "chosen-by-hand"
    (secrets.GIVEN / "redis-password").write_text("a@b:c")
    with pytest.raises(SystemExit, match="redis-password"):
        run(secrets, monkeypatch, "postgresql")


def test_a_password_that_cannot_be_read_is_no_reason_for_another(
    secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was given is used or the start ends, in one line that says what to change."""
    (secrets.GIVEN / "database-password").mkdir()
    with pytest.raises(SystemExit, match=r"database-password cannot be read .* uid 10001"):
        run(secrets, monkeypatch, "postgresql")


def test_sqlite_leaves_no_database_url(secrets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing to the edge profile takes the URL of PostgreSQL away."""
    assert "node/sentinode_database_url" in run(secrets, monkeypatch, "postgresql")
    assert "node/sentinode_database_url" not in run(secrets, monkeypatch, "sqlite")


def test_a_misspelt_folder_is_no_reason_for_others(
    secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker makes a folder that is not there, and the given passwords were not the node's."""
    with pytest.raises(SystemExit, match="is /srv/secrts, which holds none of database-password"):
        run(secrets, monkeypatch, "postgresql", given="/srv/secrts")
    assert not [path for path in secrets.READERS.rglob("*") if path.is_file()]
    (secrets.GIVEN / "web-password").write_text("one is enough")
    with pytest.raises(SystemExit, match="letters"):
        run(secrets, monkeypatch, "postgresql", given="/srv/secrets")
    (secrets.GIVEN / "web-password").write_text("one-is-enough\r\n")
    found = run(secrets, monkeypatch, "postgresql", given="/srv/secrets")
    assert found["node/web-password"] == "one-is-enough"
