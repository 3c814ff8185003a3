"""A real PostgreSQL on a free port; durability is off, since a test needs no power cut here."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import psycopg
from psycopg import sql

from stack.process import START_SECONDS, running, stop
from tests.peers.ports import free_port

INSTALL = "apt-get install postgresql"
# PostgreSQL refuses to run as root; Debian's package makes the first of these.
_USERS = ("postgres", "nobody")
_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=100")


@dataclass(frozen=True)
class Postgresql:
    """A running PostgreSQL with trust authentication on loopback."""

    process: Popen[bytes]
    port: int
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)
    _again: list[Popen[bytes]] = field(default_factory=list, repr=False)

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the first data base."""
        return self._url("postgres")

    def new_database(self) -> str:
        """Create an empty data base and return its SQLAlchemy URL."""
        name = f"test_{next(self._numbers)}"
        where = f"postgresql://sentinode@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self._url(name)

    def stop(self) -> None:
        """End the process."""
        stop(self.process)

    @contextmanager
    def away(self) -> Iterator[None]:
        """End the server for the block, then start it again as it was."""
        now = self._again[-1] if self._again else self.process
        # A fast end: SIGTERM would wait for clients to go.
        now.send_signal(signal.SIGINT)
        now.wait(START_SECONDS)
        yield
        silent = subprocess.DEVNULL
        argv = list(self.process.args) if isinstance(self.process.args, list) else []
        self._again.append(Popen(argv, user=_user(), stdin=silent, stdout=silent, stderr=silent))
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.port):
            assert time.monotonic() < deadline, "PostgreSQL did not start again"
            time.sleep(0.05)

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://sentinode@127.0.0.1:{self.port}/{name}"


def missing() -> str | None:
    """Return what to install, or None."""
    return None if _folder() else f"PostgreSQL is not installed: {INSTALL}"


@contextmanager
def running_postgresql(
    options: Sequence[str] = _OPTIONS, parent: Path | None = None
) -> Iterator[Postgresql]:
    """Run an empty PostgreSQL until the block ends, its data in a folder of `parent`.

    Without `options` it runs as it comes, durable.
    """
    binaries, user, port = _folder(), _user(), free_port()
    if binaries is None:
        raise FileNotFoundError(INSTALL)
    with tempfile.TemporaryDirectory(prefix="sentinode-postgresql-", dir=parent) as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        _initialise(binaries, data, user)
        argv = [str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
        argv += ["-h", "127.0.0.1", "-k", str(folder)]
        for option in options:
            argv += ["-c", option]
        log = folder / "postgresql.log"
        with running(argv, log, lambda: _answers(port), user) as process:
            server = Postgresql(process, port)
            try:
                yield server
            finally:
                for each in server._again:
                    stop(each)


def _initialise(binaries: Path, data: Path, user: str | None) -> None:
    argv = [str(binaries / "initdb"), "-D", str(data), "-U", "sentinode", "-A", "trust"]
    argv += ["-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
    subprocess.run(argv, check=True, capture_output=True, user=user, cwd=data.parent)


def _folder() -> Path | None:
    """Debian keeps the server's programs off the PATH, in a folder per major version."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: each.parts[-2])
    on_path = shutil.which("initdb")
    candidates = [*reversed(versions), *([Path(on_path).resolve().parent] if on_path else [])]
    for folder in candidates:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    return None


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in _USERS if user in known)


def _answers(port: int) -> bool:
    try:
        psycopg.connect(f"postgresql://sentinode@127.0.0.1:{port}/postgres").close()
    except psycopg.OperationalError:
        return False
    return True
