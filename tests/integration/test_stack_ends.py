"""The embedded stack is ended, at any moment and in any way: nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node.settings import Settings, load_settings
from stack import embedded, ports, redis, sessions, supervisor
from stack.plan import Program
from stack.state import StateDir
from tests.peers import orthanc as orthanc_peer
from tests.peers import redis as redis_peer
from tests.peers.needs import need

REPOSITORY = Path(__file__).resolve().parents[2]
SENTINODE = Path(sys.executable).parent / "sentinode"
WAIT_SECONDS = 60.0
# A supervisord whose parent is this very program.
_PARENT = """
import sys, time
from pathlib import Path
from stack import supervisor
from stack.state import StateDir
supervisor.start(StateDir(Path(sys.argv[1])), {}, with_parent=True)
time.sleep(600)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings on free ports whose state directory is temporary and prepared."""
    names = list(ports.LISTENERS)
    chosen = dict(zip(names, ports.free_ports(len(names)), strict=True))
    settings = load_settings(
        state_dir=tmp_path / "state", model_repository=REPOSITORY / "model_repository", **chosen
    )
    StateDir(settings.state_dir).prepare()
    return settings


def test_what_a_program_leaves_is_ended_with_it(settings: Settings) -> None:
    """A program that ends at SIGTERM and leaves a child, as Triton does, leaves none."""
    state = StateDir(settings.state_dir)
    _write(state, _leaver(state))
    process = supervisor.start(state, {})
    _until(lambda: len(sessions.members(process.pid)) == 3)  # supervisord, the program, its child
    supervisor.stop(state)
    process.wait()
    assert sessions.members(process.pid) == []


def test_what_a_killed_supervisord_leaves_is_found_and_ended(settings: Settings) -> None:
    """Ports are free again; Redis, which overwrites its environment, is found by its session."""
    need(redis_peer.missing())
    state = StateDir(settings.state_dir)
    broker = tuple(redis.command(settings, redis.executable()))
    _write(
        state, _leaver(state), Program("redis", broker, state.log("redis"), state.root, priority=10)
    )
    process = supervisor.start(state, {})
    _until(lambda: not ports.is_free(settings.redis_port))
    _until(lambda: len(sessions.members(process.pid)) == 4)
    process.kill()
    process.wait()
    assert embedded.end_left(settings)
    assert sessions.members(process.pid) == []
    assert ports.is_free(settings.redis_port)
    assert not embedded.end_left(settings)


def test_a_stack_at_work_is_not_ended(settings: Settings) -> None:
    """What is below a supervisord that answers was not left."""
    state = StateDir(settings.state_dir)
    _write(state, _leaver(state))
    process = supervisor.start(state, {})
    with pytest.raises(supervisor.ConfigurationError, match=r"runs in .* already"):
        embedded.end_left(settings)
    assert process.poll() is None
    supervisor.stop(state)
    process.wait()


def test_a_stack_in_the_foreground_ends_with_its_command(settings: Settings) -> None:
    """kill -9 of `sentinode up` is seen by supervisord, which stops its programs."""
    state = StateDir(settings.state_dir)
    _write(state, _leaver(state))
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(state.root)])
    _until(lambda: supervisor.is_running(state))
    [session] = sessions.carrying("SUPERVISOR_SERVER_URL", f"unix://{state.socket}")
    parent.kill()
    parent.wait()
    _until(lambda: not sessions.is_alive(session))
    embedded.end_left(settings)
    assert sessions.members(session) == []


def test_sigterm_while_models_are_loaded_leaves_nothing(settings: Settings) -> None:
    """`sentinode up` with every real part: no process, port or shared memory stays."""
    need(orthanc_peer.missing())
    command = subprocess.Popen(
        [SENTINODE, "up", "--state-dir", settings.state_dir],
        env={**os.environ, **_environment(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    stub = StateDir(settings.state_dir).triton_backends / "python" / "triton_python_backend_stub"
    _until(lambda: bool(_running(stub)))
    command.send_signal(signal.SIGTERM)
    said, _ = command.communicate(timeout=WAIT_SECONDS)
    assert command.returncode == 0, said
    assert _running(settings.state_dir) == []
    assert ports.taken(settings) == {}
    assert list(Path("/dev/shm").glob(f"sentinode-{settings.triton_grpc_port}-*")) == []


def _leaver(state: StateDir) -> Program:
    """Its first process alone is told to end."""
    script = "sleep 600 & exec sleep 600"
    return Program(
        "leaver", ("/bin/sh", "-c", script), state.log("leaver"), state.root, 10, stopasgroup=False
    )


def _write(state: StateDir, *programs: Program) -> None:
    state.supervisord_conf.write_text(supervisor.render(programs, state))


def _environment(settings: Settings) -> dict[str, str]:
    names = [*ports.LISTENERS, "model_repository"]
    return {f"SENTINODE_{name.upper()}": str(getattr(settings, name)) for name in names}


def _running(path: Path) -> list[str]:
    """Command lines that name a path."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(path) in line:
            found.append(line)
    return found


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
