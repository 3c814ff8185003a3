"""Commands in another shell find the embedded stack that runs in STATE_DIR."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.running import load_running_settings


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the state folder of a stack that was moved to other ports."""
    monkeypatch.setenv("SENTINODE_STATE_DIR", str(tmp_path))
    (tmp_path / "stack.env").write_text("SENTINODE_DICOM_PORT=2001\nSENTINODE_HTTP_PORT=2002\n")
    return tmp_path


@pytest.fixture
def supervisord() -> Iterator[int]:
    """Return the id of a process with the command line of a supervisord."""
    script = "print('here', flush=True); input()"
    argv = [sys.executable, "-c", script, "-m", "supervisor.supervisord"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()  # else its command line may still be empty
        yield process.pid
        process.kill()


def test_a_running_stack_says_where_it_is(state: Path, supervisord: int) -> None:
    """`send` after `make demo` that found 11112 in use goes to the demo's own receiver."""
    (state / "supervisord.pid").write_text(f"{supervisord}\n")
    settings = load_running_settings()
    assert (settings.dicom_port, settings.http_port) == (2001, 2002)


def test_what_the_user_says_wins(
    state: Path, supervisord: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable is not overruled by what the stack was started with."""
    (state / "supervisord.pid").write_text(f"{supervisord}\n")
    monkeypatch.setenv("SENTINODE_DICOM_PORT", "104")
    settings = load_running_settings()
    assert (settings.dicom_port, settings.http_port) == (104, 2002)


# Another process may have got the id of a supervisord that was killed.
@pytest.mark.parametrize(
    "process",
    ["", "4194305\n", f"{os.getpid()}\n"],
    ids=["no file", "above the largest id", "another process"],
)
def test_a_stack_that_has_ended_says_nothing(state: Path, process: str) -> None:
    """Its ports are nobody's now, or somebody else's."""
    if process:
        (state / "supervisord.pid").write_text(process)
    assert load_running_settings().dicom_port == 11112
