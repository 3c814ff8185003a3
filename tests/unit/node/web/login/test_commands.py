"""`sentinode account`: what it writes, what it refuses, and that it asks without an echo."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from node.settings import load_settings
from node.web.login import commands
from node.web.login.accounts import Accounts, Role, read_accounts
from node.web.login.commands import account, with_account
from node.web.login.passwords import matches

PASSWORD, OTHER = "correct horse battery", "staple zebra umbrella"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the accounts file of an empty state folder."""
    monkeypatch.setenv("SENTINODE_STATE_DIR", str(tmp_path / "state"))
    return load_settings().web_accounts


def run(*words: str, password: str | bytes = "") -> Result:
    """Run it with a password on standard input."""
    return CliRunner().invoke(account, words, input=password)


def add(name: str, *words: str, password: str = PASSWORD) -> Result:
    """Add an account, or change its password."""
    return run(name, *words, "--password-stdin", password=f"{password}\n")


def test_new_account_is_a_reader(file: Path) -> None:
    """Its line is all there is, for the owner only, and the password is right."""
    done = add("anna")
    assert done.exit_code == 0, done.output
    assert "anna is a reader now" in done.output
    assert PASSWORD not in done.output
    found = read_accounts(file.read_text())[0]["anna"]
    assert found.role == Role.READER
    assert matches(found.hash, PASSWORD)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in file.parent.iterdir() if "lock" not in path.name] == ["accounts"]


def test_change_keeps_role_and_neighbours(file: Path) -> None:
    """A new password leaves the role, a new role the password where that is wished."""
    add("olga", "--role", "operator")
    add("anna")
    file.write_text(f"# the night shift\n{file.read_text()}")
    assert "an operator" in add("olga", password=OTHER).output
    assert run("anna", "--role", "operator", "--keep-password").exit_code == 0
    text = file.read_text()
    found = read_accounts(text)[0]
    assert text.startswith("# the night shift\nolga:")
    assert {name: one.role for name, one in found.items()} == {
        "olga": Role.OPERATOR,
        "anna": Role.OPERATOR,
    }
    assert matches(found["olga"].hash, OTHER)
    assert matches(found["anna"].hash, PASSWORD)


def test_removal_and_list(file: Path) -> None:
    """What is removed is gone; a file without accounts still wants a login."""
    add("anna")
    add("olga", "--role", "operator")
    assert run().output.split() == ["anna", "reader", "olga", "operator"]
    assert run("anna", "--remove").exit_code == 0
    assert run("olga", "--remove").exit_code == 0
    assert run().output == ""
    accounts = Accounts(load_settings())
    assert (accounts.all(), accounts.wanted) == ([], True)
    gone = run("olga", "--remove")
    assert (gone.exit_code, "no account olga" in gone.output) == (1, True)


@pytest.mark.parametrize(
    ("password", "text"),
    [
        (b"\n", "empty"),
        (b"", "empty"),
        (b"short\n", "12 characters or more"),
        (b"password1234\n", "easy to guess"),
        (b"x" * 200 + b"\n", "too long"),
        (b"\xc3" * 2000 + b"\n", "too long"),
        (b"correct horse\xff\n", "not UTF-8"),
        (b"correct horse battery\nand another line\n", "control character"),
    ],
)
def test_bad_password_changes_nothing(file: Path, password: bytes, text: str) -> None:
    """The reason is told, the old password stays."""
    add("anna")
    before = file.read_bytes()
    done = run("anna", "--password-stdin", password=password)
    assert done.exit_code == 1
    assert text in done.output
    assert "nothing was changed" in done.output
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("anna", "--role", "admin"), "'reader', 'operator'"),
        (("Anna", "--password-stdin"), "1 to 64 of a-z"),
        (("an:na", "--password-stdin"), "1 to 64 of a-z"),
        (("anna",), "no terminal to ask on"),
        (("anna", "--keep-password"), "no account anna"),
        (("anna", "--remove", "--role", "reader"), "--remove goes with a name alone"),
        (("anna", "--keep-password", "--password-stdin"), "exclude each other"),
        (("--role", "reader"), "name the account"),
        ((), "no accounts file yet"),
    ],
)
def test_wrong_use_is_told(file: Path, words: tuple[str, ...], text: str) -> None:
    """And nothing is written."""
    done = run(*words)
    assert done.exit_code != 0
    assert text in " ".join(done.output.split())
    assert not file.exists()


def test_a_file_that_cannot_be_written(file: Path, tmp_path: Path) -> None:
    """The error names the file and the reason, in one line."""
    (tmp_path / "plain").touch()
    done = run(
        "anna", "--password-stdin", "--file", f"{tmp_path}/plain/accounts", password=PASSWORD
    )
    assert "cannot be read" in str(done.exception)
    assert "Not a directory" in str(done.exception)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    done = run("anna", "--password-stdin", "--file", str(binary), password=PASSWORD)
    assert "not UTF-8" in str(done.exception)
    assert binary.read_bytes() == b"\xff\xfe"


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    """Configuration management may keep the file elsewhere."""
    real = tmp_path / "real"
    real.write_text("# ours\n")
    link = tmp_path / "link"
    link.symlink_to(real)
    assert add("anna", "--file", str(link)).exit_code == 0
    assert link.is_symlink()
    assert "anna:reader:" in real.read_text()


def test_named_file_of_the_settings(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a setting names the file, that one is written."""
    monkeypatch.setenv("SENTINODE_WEB_ACCOUNTS_FILE", str(tmp_path / "named"))
    assert add("anna").exit_code == 0
    assert (tmp_path / "named").is_file()
    assert not file.exists()


def test_lines_are_replaced_in_their_place() -> None:
    """A name that stood twice stands once."""
    text = "a:1\nb:1\na:2\n"
    assert with_account(text, "a", "a:new") == "a:new\nb:1\n"
    assert with_account(text, "c", "c:new") == "a:1\nb:1\na:2\nc:new\n"
    assert with_account(text, "a", None) == "b:1\n"
    assert with_account("a:1", "b", "b:1") == "a:1\nb:1\n"


# getpass asks on the controlling terminal, which standard input becomes.
_ON_A_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from node.web.login.commands import account
account()
"""


def _converse(words: list[str], answers: list[str]) -> tuple[int, str]:
    """Run it on a terminal, answer its questions; exit status and all that the screen showed."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", _ON_A_TERMINAL, *words]
    process = subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                shown += os.read(ours, 1024)
            except OSError:
                break  # the terminal closes with the process
        if answers and shown.endswith(b": "):
            time.sleep(0.2)  # until the echo is off
            os.write(ours, f"{answers.pop(0)}\n".encode())
            shown += b"\n"
    os.close(ours)
    return process.wait(), shown.decode()


def test_terminal_is_asked_twice_without_an_echo(file: Path) -> None:
    """What is typed is not shown, and two different passwords change nothing."""
    status, shown = _converse(["anna"], [PASSWORD, OTHER])
    assert (status, "the two passwords differ" in shown) == (1, True)
    assert not file.exists()
    status, shown = _converse(["anna", "--role", "operator"], [PASSWORD, PASSWORD])
    assert status == 0, shown
    assert PASSWORD not in shown
    assert matches(read_accounts(file.read_text())[0]["anna"].hash, PASSWORD)


def test_what_another_command_took_away_stays_away(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile, with the password being typed, somebody lowers the role or removes the account."""
    assert add("anna", "--role", "operator").exit_code == 0
    asked = commands._ask

    def slow(name: str, password_stdin: bool) -> str:
        password = asked(name, password_stdin)
        monkeypatch.setattr(commands, "_ask", asked)
        lowered = account_line(file).replace(":operator:", ":reader:")
        file.write_text(f"{lowered}\n")
        return password

    monkeypatch.setattr(commands, "_ask", slow)
    assert "anna is a reader now" in add("anna", password=OTHER).output
    assert account_line(file).startswith("anna:reader:")


def test_an_account_that_was_removed_meanwhile_is_not_made_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another role for an account that is gone when its turn comes."""
    assert add("anna").exit_code == 0
    make = commands._make_folder

    def removing(folder: Path) -> None:
        make(folder)
        file.write_text("")

    monkeypatch.setattr(commands, "_make_folder", removing)
    done = run("anna", "--role", "operator", "--keep-password")
    assert done.exit_code == 1
    assert "there is no account anna" in done.output
    assert file.read_text() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_makes_folders_for_the_state_folders_owner(file: Path, tmp_path: Path) -> None:
    """Else the web process could not even see that there are accounts."""
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 4711, 4712)
    assert add("anna").exit_code == 0
    for path in (file.parent, file, *file.parent.iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712), path


def account_line(file: Path) -> str:
    """The one line of an accounts file."""
    (line,) = file.read_text().splitlines()
    return line
