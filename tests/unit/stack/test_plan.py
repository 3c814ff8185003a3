"""The plan: which programs run, in which order, told what."""

from __future__ import annotations

import json
import shlex
from configparser import RawConfigParser
from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.settings import Settings, load_settings
from stack import orthanc, redis, supervisor
from stack.plan import Executables, Program, programs
from stack.state import StateDir

FOUND = Executables(
    sentinode=("/venv/bin/sentinode",),
    orthanc=Path("/usr/sbin/Orthanc"),
    redis=Path("/usr/bin/redis-server"),
    triton=("/venv/tritonserver", "--http-port=8000"),
    triton_env={"LD_LIBRARY_PATH": "/a:/b"},
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings whose state directory is temporary."""
    return load_settings(state_dir=tmp_path, redis_port=7001, orthanc_http_port=7002)


@pytest.fixture
def planned(settings: Settings) -> list[Program]:
    """Return the plan."""
    return programs(settings, FOUND, Path("/srv"))


def test_peers_start_before_the_node_and_the_node_before_its_workers(
    planned: list[Program],
) -> None:
    """Priorities rise along the flow."""
    priority = {program.name: program.priority for program in planned}
    peers = {priority[name] for name in ("redis", "orthanc", "triton")}
    node = {priority[name] for name in ("receive", "sweep", "web")}
    workers = {priority[name] for name in ("worker-analysis", "worker-delivery")}
    assert max(peers) < min(node)
    assert max(node) < min(workers)


def test_each_queue_has_its_worker(planned: list[Program]) -> None:
    """Analysis and delivery have a worker each, so that neither waits for the other."""
    words = [program.argv for program in planned if program.name.startswith("worker")]
    assert [argv[argv.index("--queue") + 1] for argv in words] == [
        "leased.analysis",
        "leased.delivery",
    ]


def test_workers_and_triton_end_their_own_children(planned: list[Program]) -> None:
    """A SIGTERM to the group would kill a job that the worker wants to finish."""
    asks_group = {program.name: program.stopasgroup for program in planned}
    assert [name for name, group in asks_group.items() if not group] == [
        "triton",
        "worker-analysis",
        "worker-delivery",
    ]


def test_every_program_has_its_log(settings: Settings, planned: list[Program]) -> None:
    """No two programs share a log file, and all are in one folder."""
    logs = [program.log_file for program in planned]
    assert len(set(logs)) == len(planned)
    assert {log.parent for log in logs} == {settings.state_dir / "logs"}


def test_supervisor_gets_the_same_words(settings: Settings) -> None:
    """Quotes, spaces, percent signs and environment survive the configuration file."""
    argv = ("/bin/echo", 'it\'s 100% "so"', "a b")
    program = Program(
        "odd", argv, settings.state_dir / "odd.log", Path("/"), 1, env={"KEY": 'a "b" %c'}
    )
    parser = RawConfigParser()
    parser.read_string(supervisor.render([program], StateDir(settings.state_dir)))
    # supervisor expands %, then splits as a shell would.
    command = parser["program:odd"]["command"] % {}
    assert shlex.split(command) == ["/usr/bin/env", 'KEY=a "b" %c', *argv]


def test_state_directory_that_supervisor_cannot_use_is_refused() -> None:
    """supervisor expands % in its own paths twice; better said than guessed."""
    with pytest.raises(ConfigurationError, match="no '%'"):
        supervisor.render([], StateDir(Path("/srv/100%")))


def test_a_comment_sign_is_refused(settings: Settings) -> None:
    """supervisor takes what follows ' ;' for a comment."""
    program = Program("odd", ("echo", "a ;b"), settings.state_dir / "odd.log", Path("/"), 1)
    with pytest.raises(ConfigurationError, match="' ;'"):
        supervisor.render([program], StateDir(settings.state_dir))


def test_redis_is_on_loopback_and_durable(settings: Settings) -> None:
    """The broker hears this machine only and keeps an append-only file."""
    words = redis.command(settings, Path("redis-server"))
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--bind"] == "127.0.0.1"
    assert options["--port"] == "7001"
    assert options["--appendonly"] == "yes"


def test_orthanc_knows_the_node_and_the_demo_only(settings: Settings) -> None:
    """Nobody else may store, and nobody from another machine."""
    written = json.loads(json.dumps(orthanc.configuration(settings, Path("/dicomweb.so"))))
    assert written["DicomAlwaysAllowStore"] is False
    assert written["DicomCheckModalityHost"] is True
    assert written["OverwriteInstances"] is False
    titles = {name: entry[:2] for name, entry in written["DicomModalities"].items()}
    assert titles == {
        "sentinode": ["SENTINODE", "127.0.0.1"],
        "demo": ["DEMO_MODALITY", "127.0.0.1"],
    }


def test_orthancs_settings_all_have_a_reason() -> None:
    """Every setting of the template is explained in the README beside it."""
    folder = Path(orthanc.__file__).parent.parent / "orthanc"
    reasons = (folder / "README.md").read_text()
    template = json.loads((folder / "orthanc.json").read_text())
    assert [name for name in template if f"| `{name}` |" not in reasons] == []
