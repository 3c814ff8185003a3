"""The spool: one folder of each process for files that are not committed yet.

A file in the folder is locked while its process lives; `clean` removes what dead processes left: of
the whole state folder, which processes on several machines may share. A spool file
is linked to its final name before its row is committed and unlinked after, and its own name says
which final name that is: so an orphan that a crash leaves between the two is found again without
looking through the store. A pack that is being filled has such a name here as well.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from node.store.incoming import Claim, Incoming, file_meta, final_path
from node.store.packs import is_pack, trim

# A file that is open for writing: NFS and SMB lock it for all machines, and a folder, which is what
# earlier versions lock and look at, for those processes alone that are on the same one.
_LOCK = ".lock"


class Spool:
    """The folder of one process for files that are not committed yet."""

    def __init__(self, incoming: Path) -> None:
        """Make and lock it. Raises OSError."""
        self._numbers = itertools.count()
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        # Locked before it gets the name by which `abandoned` looks at it.
        new = incoming / f".{name}"
        new.mkdir(parents=True)
        self._folder_lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
        self._lock = os.open(new / _LOCK, os.O_RDWR | os.O_CREAT, 0o640)
        for lock in (self._folder_lock, self._lock):
            fcntl.flock(lock, fcntl.LOCK_EX)
        self.folder = new.rename(incoming / name)
        self._prefix = f"{self.folder}{os.sep}"

    def new(self, claim: Claim) -> Incoming:
        """A new data set; its file begins with a preamble and File Meta Information."""
        return Incoming(f"{self._prefix}{next(self._numbers)}.part", file_meta(claim), claim)

    def close(self) -> None:
        """Remove half received files and give the lock back; what else is left is for `recover`."""
        with suppress(OSError):
            for half in self.folder.glob("*.part"):
                half.unlink(missing_ok=True)
        # NFS keeps a file that is open under another name.
        os.close(self._lock)
        with suppress(OSError):
            (self.folder / _LOCK).unlink(missing_ok=True)
            self.folder.rmdir()
        os.close(self._folder_lock)


def abandoned(incoming: Path) -> list[Path]:
    """Spool folders whose process has died."""
    return [
        folder
        for folder in incoming.iterdir()
        if folder.is_dir() and not folder.name.startswith(".") and not _locked(folder)
    ]


def loose_files(incoming: Path) -> int:
    """Remove files outside of any spool folder, which version 0.1 left; returns how many."""
    loose = [path for path in incoming.iterdir() if path.is_file()]
    for path in loose:
        path.unlink(missing_ok=True)
    return len(loose)


def clean(folder: Path, end_of: Callable[[str], int | None], root: Path) -> int:
    """Remove a dead process's spool folder; returns how many files it held.

    A file named after its final path was linked there; without a row that link is an orphan.
    `end_of`: where the last committed object of a path ends, None without any.
    """
    try:
        files = [file for file in folder.iterdir() if file.name != _LOCK]
    except FileNotFoundError:
        # Another process that started at the same time was faster.
        return 0
    for file in files:
        relative = final_path(file.name)
        if relative is not None:
            _leave_what_is_committed(root, relative, end_of(relative))
    shutil.rmtree(folder, ignore_errors=True)
    return len(files)


def _leave_what_is_committed(root: Path, relative: str, end: int | None) -> None:
    if end is None:
        (root / relative).unlink(missing_ok=True)
    elif is_pack(relative):
        trim(root, relative, end)


def _locked(folder: Path) -> bool:
    return _held(folder / _LOCK, os.O_RDWR) or _held(folder, os.O_RDONLY | os.O_DIRECTORY)


def _held(path: Path, how: int) -> bool:
    try:
        descriptor = os.open(path, how)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
