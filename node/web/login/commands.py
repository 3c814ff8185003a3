"""`sentinode account`: who may log in, from the command line.

In: a name, a role, a password that no screen shows. Out: one line of the accounts file written,
replaced or removed. What must hold: the file is replaced whole or not at all, is for its owner
only, and keeps every other line, comments too.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from node.errors import ConfigurationError
from node.settings import load_settings
from node.web.login import passwords
from node.web.login.accounts import Account, Role, is_name, read_accounts

# Of standard input: the longest password in UTF-8, and the end of its line.
_INPUT_BYTES = 4 * passwords.MAX_CHARACTERS + 2


@click.command(short_help="List, make, change and remove accounts of the web pages.")
@click.argument("name", required=False)
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    help="reader looks, operator also retries.",
)
@click.option("--remove", is_flag=True, help="Take the account away.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--keep-password", is_flag=True, help="Change the role only.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another accounts file (SENTINODE_WEB_ACCOUNTS_FILE).",
)
def account(
    name: str | None,
    role: str | None,
    remove: bool,
    password_stdin: bool,
    keep_password: bool,
    path: Path | None,
) -> None:
    """Let NAME log in to the web pages: a new account, another password, another role.

    A new account is a reader unless --role says otherwise. Without NAME: list the accounts. What
    is changed is in force at once and ends the account's sessions.
    """
    file = (path or load_settings().web_accounts).absolute()
    if name is None:
        if role or remove or password_stdin or keep_password:
            raise click.UsageError("name the account")
        _list(file)
        return
    if remove and (role or password_stdin or keep_password):
        raise click.UsageError("--remove goes with a name alone")
    if keep_password and password_stdin:
        raise click.UsageError("--keep-password and --password-stdin exclude each other")
    if not is_name(name):
        raise click.UsageError(
            "an account's name has 1 to 64 of a-z, 0-9 and . _ @ -, and begins with a letter or "
            "digit"
        )
    if remove:
        _remove(file, name)
    else:
        _set(file, name, role, keep_password, password_stdin)


def with_account(text: str, name: str, line: str | None) -> str:
    """The file with this line for `name`, in the place of all it had; None: without any."""
    kept: list[str] = []
    written = line is None
    for each in text.splitlines():
        if each.partition(":")[0].strip() != name:
            kept.append(each)
        elif not written and line is not None:
            kept.append(line)
            written = True
    if not written and line is not None:
        kept.append(line)
    return "".join(f"{each}\n" for each in kept)


def _list(file: Path) -> None:
    text = _read(file)
    if text is None:
        raise click.ClickException(
            f"there is no accounts file yet: {file}; `sentinode account NAME` makes it"
        )
    found, wrong = read_accounts(text)
    for one in sorted(found.values(), key=lambda each: each.name):
        click.echo(f"{one.name:<24} {one.role}")
    for number in wrong:
        click.echo(f"line {number} of {file} is none, and lets nobody in", err=True)


def _set(
    file: Path, name: str, role: str | None, keep_password: bool, password_stdin: bool
) -> None:
    kept, now = None, _read(file) or ""
    if keep_password:
        _changed(now, name, role, kept)  # what cannot be makes no folder
    else:
        kept = passwords.hashed(_ask(name, password_stdin))
    text = _change(file, lambda text: _changed(text, name, role, kept))
    chosen = read_accounts(text)[0][name].role
    click.echo(f"{name} is {'an' if chosen == Role.OPERATOR else 'a'} {chosen} now, in {file}")


def _changed(text: str, name: str, role: str | None, kept: str | None) -> str:
    """The file with another role, another hash, or both; what is None stays as it is now.

    As it is now, not as it was when the password was asked for: another command may have taken
    the role or the whole account away meanwhile.
    """
    before = read_accounts(text)[0].get(name)
    if kept is None:
        if before is None:
            raise click.ClickException(f"there is no account {name} whose password could be kept")
        kept = before.hash
    chosen = Role(role) if role else (before.role if before else Role.READER)
    return with_account(text, name, Account(name, chosen, kept).line)


def _remove(file: Path, name: str) -> None:
    text = _read(file)
    if text is None or with_account(text, name, None) == text:
        raise click.ClickException(f"there is no account {name} in {file}")
    _change(file, lambda text: with_account(text, name, None))
    click.echo(f"{name} is removed from {file}")


def _ask(name: str, password_stdin: bool) -> str:
    """A good password from the terminal, asked for twice, or from standard input."""
    if password_stdin:
        password = _first_line(sys.stdin.buffer.read(_INPUT_BYTES + 1))
    elif sys.stdin.isatty():
        prompt = f"Password of {name} ({passwords.MIN_CHARACTERS} characters or more)"
        # An empty answer would be asked for again, for ever.
        password = click.prompt(prompt, default="", hide_input=True, show_default=False)
        again = click.prompt("Once more", default="", hide_input=True, show_default=False)
        if password != again:
            raise click.ClickException("the two passwords differ; nothing was changed")
    else:
        raise click.UsageError("no terminal to ask on; give the password by --password-stdin")
    fault = passwords.fault(password, name)
    if fault:
        raise click.ClickException(f"{fault}; nothing was changed")
    return password


def _first_line(given: bytes) -> str:
    try:
        return given.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        if len(given) > _INPUT_BYTES:
            return "x" * len(given)  # too long, whatever it says
        raise click.ClickException("the password is not UTF-8; nothing was changed") from error


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigurationError(f"the accounts file cannot be read: {file} ({reason})") from error


def _change(file: Path, edit: Callable[[str], str]) -> str:
    """Replace the file by what `edit` makes of it, and return that. Raises ConfigurationError."""
    target = file.resolve()  # a link stays one
    try:
        _make_folder(target.parent)
        with _alone(target):
            text = edit(_read(target) or "")
            _replace(target, text)
            return text
    except OSError as error:
        raise ConfigurationError(
            f"the accounts file cannot be written: {file} ({error.strerror}); where it is mounted "
            "read-only, change what it is mounted from"
        ) from error


def _make_folder(folder: Path) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        _give(each, each.parent.stat())


def _give(path: Path, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        # The web process, which is not root, must still be able to read it.
        os.chown(path, owner.st_uid, owner.st_gid)


def _replace(target: Path, text: str) -> None:
    owner = (target if target.exists() else target.parent).stat()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        _give(Path(name), owner)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep a second command from losing the first one's line."""
    # A file to write into: NFS locks no other.
    lock = target.with_name(f".{target.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _give(lock, target.parent.stat())
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
