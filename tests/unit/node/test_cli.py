"""The command line: whatever goes wrong outside is one line, and the exit status is not 0."""

from __future__ import annotations

import errno
import os
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from node.cli import PluggedGroup, main


@pytest.fixture
def group() -> PluggedGroup:
    """A command line whose one command fails as it is told."""
    made = PluggedGroup("sentinode.none", name="test")

    @made.command()
    @click.argument("number", type=int)
    def fail(number: int) -> None:
        try:
            raise OSError(number, os.strerror(number), "/data/out")
        except OSError as error:
            if number != errno.ENOSPC:
                raise
            # As pydicom does while it writes an element.
            raise OSError("With tag (7fe0,0010) got exception") from error

    return made


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "/data/out: Permission denied; let the account"),
        (errno.EROFS, "/data/out: Read-only file system; name a folder"),
        (errno.ENOSPC, "/data/out: No space left on device; make room"),
        (errno.ENOENT, "/data/out: No such file or directory"),
    ],
)
def test_what_the_system_refuses_is_one_line(group: PluggedGroup, number: int, said: str) -> None:
    """A folder that is full, closed or read-only: what it is and what helps, no traceback."""
    outcome = CliRunner().invoke(group, ["fail", str(number)])
    assert outcome.exit_code == 1
    [line] = outcome.stderr.splitlines()
    assert line.startswith(f"Error: {said}")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """`phantom` into a path that leads through a file."""
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "study"
    outcome = CliRunner().invoke(main, ["phantom", "--out", str(out), "--size", "256"])
    assert outcome.exit_code == 1
    assert outcome.stderr == f"Error: {out}: Not a directory; name a folder\n"


def test_a_package_that_is_not_installed() -> None:
    """`models train` after `make demo`, which installs no torch: which package, and what helps."""
    group = PluggedGroup("sentinode.none", name="test")

    @group.command()
    def train() -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    outcome = CliRunner().invoke(group, ["train"])
    assert outcome.exit_code == 1
    [line] = outcome.stderr.splitlines()
    assert "not installed here, torch; in a checkout `scripts/python-packages.sh test`" in line


def test_the_version_that_runs() -> None:
    """What is asked first when something is reported."""
    outcome = CliRunner().invoke(main, ["--version"])
    assert outcome.exit_code == 0
    assert outcome.output == f"sentinode {version('sentinode')}\n"


def test_a_terminal_that_lacks_a_letter(tmp_path: Path) -> None:
    """What it cannot show is escaped, and the command goes on."""
    made = PluggedGroup("sentinode.none", name="test")
    made.command("show")(lambda: print("area mm²"))
    outcome = CliRunner(charset="ascii").invoke(made, ["show"])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout_bytes == b"area mm\\xb2\n"


def test_every_command_is_told_in_a_whole_line() -> None:
    """Half a sentence helps nobody who looks for a command."""
    outcome = CliRunner().invoke(main, ["--help"], terminal_width=80)
    commands = outcome.stdout.partition("Commands:\n")[2].splitlines()
    assert len(commands) > 10
    assert [line for line in commands if line.endswith("...")] == []
