"""One data set on its way to disk: bytes in, a Part 10 file with its digest out.

In: the encoded data set, in fragments. Out: a temporary file in this process's spool folder,
synced; or, for a small data set, the file's bytes in memory, which become durable with their row
in one commit instead of three syncs. Either with the digest of the data set. A failure (a full
disk) is kept and answered when the data set ends, because the sender cannot be interrupted earlier
without losing the association.

The spool folder is the process's own and locked while it lives; `recover` cleans what dead
processes left. A spool file is linked to its final name before its row is committed and unlinked
after, and its own name says which final name that is: so an orphan that a crash leaves between the
two is found again without looking through the store.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.errors import RefusedError
from node.identifiers import derived_uid
from node.store.digest import digest_text, new_digest

# A Part 10 file up to this size is kept in its row (SQLite is then faster than a file system).
SMALL_BYTES = 1 << 16
# After so many bytes the disk is told to begin: of 18 ms for the last sync of 27 MB, 3 are left.
_WRITE_BACK_BYTES = 4 << 20
# PS3.10 7.1: identifies the implementation that wrote the file.
_IMPLEMENTATION_CLASS_UID = derived_uid("implementation")
_IMPLEMENTATION_VERSION_NAME = "SENTINODE"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a sender says before the data set comes (PS3.7 9.3.1.1)."""

    AffectedSOPClassUID: str
    AffectedSOPInstanceUID: str
    transfer_syntax_uid: str
    # AE title; for STOW-RS the text "STOW-RS".
    calling_ae_title: str
    peer_host: str
    move_originator_ae_title: str = ""
    # The study that the sender stores into, where it names one (PS3.18 10.5.1.1); "" for any.
    study_instance_uid: str = ""


class Incoming:
    """One data set. Used by one thread; `write` and `discard` never raise."""

    __slots__ = (
        "_begun_bytes",
        "_descriptor",
        "_digest",
        "_in_doubt",
        "_pending",
        "claim",
        "dataset_offset",
        "failure",
        "path",
        "size_bytes",
    )

    def __init__(self, path: Path, meta: bytes, claim: Claim) -> None:
        self.path = path
        self.claim = claim
        self.dataset_offset = len(meta)
        self.size_bytes = len(meta)
        self.failure: Exception | None = None
        self._digest = new_digest()
        self._pending: bytearray | None = bytearray(meta)
        self._in_doubt = False
        self._begun_bytes = 0
        self._descriptor = -1

    @classmethod
    def refused(cls, error: RefusedError, claim: Claim) -> Incoming:
        """A data set that is read and thrown away, because its request is refused already."""
        incoming = cls(Path(os.devnull), b"", claim)
        incoming.failure = error
        incoming._pending = None
        return incoming

    def write(self, fragment: memoryview | bytes) -> None:
        """Take the next bytes of the data set."""
        if self.failure is not None:
            return
        self._digest.update(fragment)
        self.size_bytes += len(fragment)
        try:
            if self._pending is None:
                _write_all(self._descriptor, fragment)
                self._start_writing_back()
            else:
                self._gather(self._pending, fragment)
        except OSError as error:
            self.discard()
            self.failure = error

    def sync(self) -> None:
        """Make the file durable and close it; a small one has none. Raises OSError."""
        if self._pending is None:
            os.fsync(self._descriptor)
            self._close()

    def content(self) -> bytes | None:
        """The whole Part 10 file of a small data set; None when it is a file."""
        return None if self._pending is None else bytes(self._pending)

    def offer(self, target: Path, relative: str) -> None:
        """Give the synced file its final name as well. Raises OSError.

        The folder of `target` must be synced afterwards; `discard` then removes the spool's name.
        """
        spooled = self.path.with_name(linking_name(relative))
        if self._in_doubt:
            os.link(self.path, spooled)
        else:
            self.path.replace(spooled)
        self.path, self._in_doubt = spooled, False
        os.link(spooled, target)

    def doubt(self) -> None:
        """Keep the spool's name: whether the offered one was committed is for `recover` to see."""
        self._in_doubt = True

    def discard(self) -> None:
        """Forget the data set and remove its file from the spool."""
        if self._descriptor >= 0:
            self._close()
        if self._pending is None and self.failure is None and not self._in_doubt:
            self.path.unlink(missing_ok=True)
        self._pending = None

    def digest(self) -> str:
        """Of the data set, as it is stored."""
        return digest_text(self._digest)

    def _start_writing_back(self) -> None:
        """Have the disk begin with what is here; the last sync then waits for a tail only."""
        count = self.size_bytes - self._begun_bytes
        if count >= _WRITE_BACK_BYTES:
            # Linux begins to write such pages at once, and keeps those it is writing.
            os.posix_fadvise(self._descriptor, self._begun_bytes, count, os.POSIX_FADV_DONTNEED)
            self._begun_bytes = self.size_bytes

    def _gather(self, pending: bytearray, fragment: memoryview | bytes) -> None:
        if len(pending) + len(fragment) <= SMALL_BYTES:
            pending += fragment
            return
        self._spill(pending)
        _write_all(self._descriptor, fragment)

    def _spill(self, pending: bytearray) -> None:
        self._pending = None
        self._descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
        _write_all(self._descriptor, pending)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)


class Spool:
    """The folder of one process for files that are not committed yet."""

    def __init__(self, incoming: Path) -> None:
        """Make and lock it. Raises OSError."""
        self._numbers = itertools.count()
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        # Locked before it gets the name by which `abandoned` looks at it.
        new = incoming / f".{name}"
        new.mkdir(parents=True)
        self._lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.folder = new.rename(incoming / name)

    def new(self, claim: Claim) -> Incoming:
        """A new data set; its file begins with a preamble and File Meta Information."""
        return Incoming(self.folder / f"{next(self._numbers)}.part", file_meta(claim), claim)

    def close(self) -> None:
        """Remove half received files and give the lock back; what else is left is for `recover`."""
        with suppress(OSError):
            for half in self.folder.glob("*.part"):
                half.unlink(missing_ok=True)
            self.folder.rmdir()
        os.close(self._lock)


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


def clean(folder: Path, is_committed: Callable[[str], bool], root: Path) -> int:
    """Remove a dead process's spool folder; returns how many files it held.

    A file named after its final path was linked there; without a row that link is an orphan.
    """
    try:
        files = list(folder.iterdir())
    except FileNotFoundError:
        # Another process that started at the same time was faster.
        return 0
    for file in files:
        relative = final_path(file.name)
        if relative is not None and not is_committed(relative):
            (root / relative).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return len(files)


def linking_name(relative: str) -> str:
    """The spool name of a file that is being linked to its final path."""
    return relative.replace("/", "~")


def final_path(name: str) -> str | None:
    """The final path that a spool name tells, or None for a half received file."""
    return name.replace("~", "/") if "~" in name else None


def file_meta(claim: Claim) -> bytes:
    """Preamble and File Meta Information (PS3.10 table 7.1-1), Explicit VR Little Endian."""
    group = b"".join(
        (
            struct.pack("<HH2sHI", 0x0002, 0x0001, b"OB", 0, 2) + b"\0\1",
            _element(0x0002, b"UI", claim.AffectedSOPClassUID),
            _element(0x0003, b"UI", claim.AffectedSOPInstanceUID),
            _element(0x0010, b"UI", claim.transfer_syntax_uid),
            _element(0x0012, b"UI", _IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", _IMPLEMENTATION_VERSION_NAME),
            _element(0x0016, b"AE", claim.calling_ae_title),
        )
    )
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(group))  # 16-bit length, value
    return b"\0" * 128 + b"DICM" + length + group


def _element(number: int, representation: bytes, text: str) -> bytes:
    value = text.encode("ascii", errors="replace")
    if len(value) % 2:
        value += b"\0" if representation == b"UI" else b" "
    return struct.pack("<HH2sH", 0x0002, number, representation, len(value)) + value


def _write_all(descriptor: int, content: memoryview | bytes | bytearray) -> None:
    view = memoryview(content)
    while len(view):
        view = view[os.write(descriptor, view) :]


def _locked(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
