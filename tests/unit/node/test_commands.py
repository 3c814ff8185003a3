"""Commands for people and containers: the database, waited for and upgraded."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console
from sqlalchemy import text

from node import commands
from node.cli import main
from node.commands import (
    findings_table,
    print_status,
    upgrade_database,
    wait_for_database,
    wait_for_end,
)
from node.errors import ConfigurationError
from node.settings import load_settings
from node.status import no_findings
from node.store.session import Store, open_store
from node.store.tables import Study
from tests.datasets import mammogram, saved
from tests.unit.node.web.rows import add_study


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """What a command does with signals ends with it."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def empty_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder whose database has no tables, and no patience between two looks."""
    monkeypatch.setenv("SENTINODE_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("SENTINODE_DATABASE_URL", raising=False)
    monkeypatch.setattr(commands, "_WAIT_SECONDS", 0.05)


def test_waiting_ends_with_the_upgrade() -> None:
    """A process that waits goes on as soon as somebody has made the tables."""
    waiting = CliRunner()
    upgrading = threading.Timer(0.3, lambda: upgrade_database.callback())  # type: ignore[misc]
    upgrading.start()
    outcome = waiting.invoke(wait_for_database, ["--seconds", "30"])
    upgrading.join()
    assert outcome.exit_code == 0, outcome.output
    assert "run `sentinode db upgrade`" in outcome.output


def test_waiting_ends_with_a_signal() -> None:
    """SIGTERM is handled: the first process of a container has no other end than SIGKILL."""
    command = [str(Path(sys.executable).with_name("sentinode")), "db", "wait"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        assert "waiting" in waiting.stderr.readline()
        waiting.terminate()
        assert "Aborted" in waiting.stderr.read()
    assert waiting.returncode == 1


def test_waiting_ends_with_its_time() -> None:
    """Nobody makes the tables: the error says what to run."""
    outcome = CliRunner().invoke(wait_for_database, ["--seconds", "0"])
    assert isinstance(outcome.exception, ConfigurationError)
    assert "run `sentinode db upgrade`" in str(outcome.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "1.2.3"],
        ["status", "--json"],
        ["retry", "1.2.3"],
        ["retry", "--destination", "archive"],
        ["expire", "--days", "3"],
        ["expire", "--days", "3", "--dry-run"],
    ],
)
@pytest.mark.parametrize("database", ["none", "empty", "away", "no database"])
def test_without_a_database_one_line_says_what_to_do(
    arguments: list[str], database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No tables, no server, no such folder, another file: an error that names the settings."""
    if database == "none":
        monkeypatch.setenv("SENTINODE_DATABASE_URL", "sqlite:////nonexistent/sentinode.db")
    elif database == "away":
        url = "postgresql+psycopg://node:geheim@127.0.0.1:1/sentinode"
        monkeypatch.setenv("SENTINODE_DATABASE_URL", url)
    elif database == "no database":
        (tmp_path / "sentinode.db").write_text("something else")
    outcome = CliRunner().invoke(main, arguments)
    assert outcome.exit_code == 1
    assert isinstance(outcome.exception, SystemExit), outcome.exception
    [line] = outcome.stderr.splitlines()
    assert "SENTINODE_STATE_DIR" in line
    assert "geheim" not in line


@pytest.mark.parametrize("arguments", [["status"], ["expire", "--days", "3"], ["retry", "1.2"]])
def test_who_asks_in_the_wrong_folder_leaves_nothing_there(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says where the database was looked for; an empty one there would mislead."""
    monkeypatch.setenv("SENTINODE_STATE_DIR", str(tmp_path / "elsewhere"))
    outcome = CliRunner().invoke(main, arguments)
    assert outcome.exit_code == 1
    assert str(tmp_path / "elsewhere" / "sentinode.db") in outcome.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_sqlite_cannot_use_is_no_server_that_is_away(tmp_path: Path) -> None:
    """With SQLite there is nothing to start: rights and room are what may be wrong."""
    (tmp_path / "sentinode.db").mkdir()
    outcome = CliRunner().invoke(main, ["status"])
    assert outcome.exit_code == 1
    assert "unable to open database file" in outcome.stderr
    assert str(tmp_path / "sentinode.db") in outcome.stderr
    assert "must be able to write" in outcome.stderr


@pytest.mark.parametrize("database", ["none", "away", "newer"])
def test_an_upgrade_that_cannot_be_is_told_in_a_line(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder, no server, tables of a later version: no traceback."""
    if database == "newer":
        upgrade_database.callback()  # type: ignore[misc]
        with open_store(load_settings()).writing() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    else:
        urls = {
            "none": "sqlite:////nonexistent/x.db",
            "away": "postgresql+psycopg://node:geheim@127.0.0.1:1/sentinode",
        }
        monkeypatch.setenv("SENTINODE_DATABASE_URL", urls[database])
    outcome = CliRunner().invoke(main, ["db", "upgrade"])
    assert outcome.exit_code == 1
    assert isinstance(outcome.exception, SystemExit), outcome.exception
    [line] = outcome.stderr.splitlines()
    assert line.startswith("Error: database")
    assert "geheim" not in line


@pytest.mark.parametrize("arguments", [["status"], ["retry"], ["retry", "--destination"]])
def test_a_name_that_is_no_text_is_told(arguments: list[str]) -> None:
    """An argument in another encoding than UTF-8, which no database takes."""
    upgrade_database.callback()  # type: ignore[misc]
    outcome = CliRunner().invoke(main, [*arguments, os.fsdecode(b"caf\xe9")])
    assert outcome.exit_code == 1
    assert outcome.stderr == "Error: 'caf\\udce9' is not text in UTF-8; use another name\n"


def test_a_worker_that_could_not_work_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It checks itself first: its destinations, and that somebody rings for its queue."""
    upgrade_database.callback()  # type: ignore[misc]
    outcome = CliRunner().invoke(main, ["run", "worker", "--queue", "leased.analysis,typo"])
    assert outcome.exit_code == 1
    assert "nobody rings for a queue 'typo'" in outcome.stderr
    monkeypatch.setenv("SENTINODE_DESTINATIONS", str(tmp_path / "nosuch.yaml"))
    outcome = CliRunner().invoke(main, ["run", "worker"])
    assert outcome.exit_code == 1
    [line] = outcome.stderr.splitlines()
    assert line.endswith("nosuch.yaml cannot be read: No such file or directory")


def test_what_is_sent_is_not_shown(tmp_path: Path) -> None:
    """A value that no element may hold comes into no warning of a library."""
    path = saved(mammogram("2.25.4711"), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"2.25.4711", b"Frau.4711"))
    script = Path(sys.executable).parent / "sentinode"
    command = [str(script), "send", str(path), "--to", "A@127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no association" in done.stderr
    assert "Frau" not in done.stderr


def test_the_newest_studies_are_listed() -> None:
    """Without a study, `status` lists them, newest first, for the eye and as JSON."""
    assert "run `sentinode db upgrade`" in CliRunner().invoke(main, ["status"]).stderr
    upgrade_database.callback()  # type: ignore[misc]
    assert "no study yet" in CliRunner().invoke(main, ["status"]).output
    assert json.loads(CliRunner().invoke(main, ["status", "--json"]).output) == []
    with open_store(load_settings()).writing() as session:
        for day, state in enumerate(("done", "failed", "skipped"), start=1):
            at = datetime(2026, 1, day, tzinfo=UTC)
            session.add(
                Study(
                    study_uid=f"2.25.{day}",
                    state=state,
                    revision=1,
                    first_instance_at=at,
                    last_instance_at=at,
                    deadline_at=at,
                )
            )
    lines = CliRunner().invoke(main, ["status"]).output.splitlines()
    assert [line.split()[-1] for line in lines[:3]] == ["2.25.3", "2.25.2", "2.25.1"]
    assert lines[3] == "3 studies: 1 done, 1 failed, 1 skipped"
    listed = json.loads(CliRunner().invoke(main, ["status", "--json", "--limit", "2"]).output)
    assert [(each["study_uid"], each["state"]) for each in listed] == [
        ("2.25.3", "skipped"),
        ("2.25.2", "failed"),
    ]
    assert listed[0]["timings"]["last_instance"] == "2026-01-03T00:00:00+00:00"


def test_an_error_in_brackets_is_shown_as_it_is() -> None:
    """What an archive says is no markup of the terminal's: `[/a]` would end the command."""
    said = "refused [/a] [b]"
    result = {"kind": "SEG", "state": "dead", "destination": "archive", "error": said}
    found = {
        "study_uid": "1.2",
        "state": "failed",
        "revision": 1,
        "shown_revision": 1,
        "instances": 1,
    }
    console = Console(file=io.StringIO(), width=200)
    run = {"model": "mtu_net", "state": "failed", "source_sop_uid": "1.2.3", "error": said}
    lists = {"findings": [], "classification": [], "model_runs": [run], "results": [result]}
    lists |= {"skipped_instances": [], "conflicts": []}
    print_status({**found, "error": said, **lists}, console)
    assert console.file.getvalue().count(said) == 3


def test_a_score_never_looks_like_certainty() -> None:
    """The table rounds as the pages do."""
    finding = {"code": {"meaning": "Mass"}, "laterality": "L", "view": "CC", "area_mm2": 77.0}
    finding |= {"model": "mask_rcnn_mg", "model_version": "2.0", "score": 0.9969}
    console = Console(file=io.StringIO(), width=200)
    console.print(findings_table({"findings": [finding]}))
    assert "0.99" in console.file.getvalue()  # type: ignore[attr-defined]


def test_status_tells_what_classifiers_and_failed_models_said() -> None:
    """They mark nothing: a study of a failed model alone looked like one without findings."""
    found = {"study_uid": "1.2", "state": "done", "revision": 2, "instances": 1, "error": ""}
    shares = {"normal": 0.1, "malignant": 0.9}
    rows = [{"model": "resnet50", "source_sop_uid": "1.2.3", "probabilities": shares}]
    runs = [
        {"model": "resnet50", "state": "succeeded", "source_sop_uid": "1.2.3", "error": ""},
        {"model": "mtu_net", "state": "failed", "source_sop_uid": "1.2.3", "error": "no breast"},
    ]
    console = Console(file=io.StringIO(), width=40)
    lists = {"findings": [], "classification": rows, "model_runs": runs, "results": []}
    lists |= {"skipped_instances": [], "conflicts": []}
    print_status({**found, "shown_revision": 1, **lists}, console)
    lines = console.file.getvalue().splitlines()
    assert "findings: unknown: a model gave no answer" in lines
    assert "resnet50: normal 0.10, malignant 0.90  1.2.3" in lines
    assert "shown is revision 1; revision 2 has no results yet" in lines
    assert lines[-1] == "mtu_net failed on 1.2.3: no breast"


@pytest.mark.timeout(20)
def test_a_wait_that_is_no_number_ends_at_once(store: Store) -> None:
    """No time is later than NaN: the command never came back."""
    uid = add_study(store, state="receiving")
    assert wait_for_end(store, uid, math.nan)["state"] == "receiving"


@pytest.mark.parametrize(
    ("state", "results", "run", "said"),
    [
        ("receiving", [], None, "not known yet"),
        ("failed", [], "failed", "unknown: a model gave no answer"),
        ("delivering", [], "away", "unknown: a model gave no answer"),
        ("failed", [{"kind": "SR"}], "succeeded", "none above the operating points"),
        ("skipped", [], None, "not analysed"),
        ("removed", [], None, "removed"),
    ],
)
def test_no_findings_are_told_as_what_they_are(
    state: str, results: list[dict[str, str]], run: str | None, said: str
) -> None:
    """An empty table for a study that nothing has looked at reads as nothing found."""
    runs = [] if run is None else [{"state": run}]
    assert said in no_findings({"state": state, "results": results, "model_runs": runs})


def test_status_tells_what_was_not_analysed_and_why() -> None:
    """A study of a mammogram and of ultrasound that no rule takes looked as if all was read."""
    skipped = [
        {"sop_instance_uid": f"1.2.{number}", "route": "r", "reason": reason}
        for number, reason in enumerate(["no body part", "no pixel data", "no body part"])
    ]
    found = {"study_uid": "1.2", "state": "done", "revision": 1, "instances": 4, "error": ""}
    lists = {"findings": [], "classification": [], "model_runs": [], "results": []}
    lists |= {"skipped_instances": skipped, "conflicts": ["1.2.3", "1.2.3"]}
    console = Console(file=io.StringIO(), width=40)
    print_status({**found, "shown_revision": 1, **lists}, console)
    assert console.file.getvalue().splitlines()[-3:] == [
        "not analysed, 2 objects: no body part",
        "not analysed, 1 object: no pixel data",
        "kept apart, 2 objects: other content under the same SOP Instance UID 1.2.3",
    ]


@pytest.mark.parametrize("days", ["0", "-1", "0.5", "800000"])
def test_days_that_are_none_remove_nothing(days: str) -> None:
    """An error of usage, before the database is opened."""
    outcome = CliRunner().invoke(commands.expire, ["--days", days])
    assert outcome.exit_code == 2
    assert "--days" in outcome.output


def test_a_study_that_is_removed_meanwhile_holds_up_no_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of all that a destination did not get, the others are tried again."""
    upgrade_database.callback()  # type: ignore[misc]
    monkeypatch.setattr(commands, "studies_with_dead_letters", lambda *_: ["2.25.1"])
    outcome = CliRunner().invoke(commands.retry, ["--destination", "archive"])
    assert outcome.exit_code == 0, outcome.exception
    assert "0 of 1 studies queued" in outcome.output
