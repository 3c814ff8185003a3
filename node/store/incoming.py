"""One data set on its way to disk: bytes in, a Part 10 file with its digest out.

In: the encoded data set, in fragments. Out: a temporary file in this process's spool folder,
synced; or, for all that fits into one staging buffer, the file's bytes in memory, which become
durable in their row or in a pack. Either with the digest of the data set. A failure (a full disk)
is kept and answered when the data set ends, because the sender cannot be interrupted earlier
without losing the association.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from node.errors import RefusedError
from node.identifiers import derived_uid
from node.store.digest import digest_text, new_digest
from node.store.stage import Stage

# A Part 10 file up to this size is kept in its row (SQLite is then faster than a file system).
SMALL_BYTES = 1 << 16
# The header of a data set is looked for in so many bytes first.
HEAD_BYTES = 1 << 16
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
        "_head",
        "_in_doubt",
        "_named",
        "_small",
        "_stage",
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
        # What has come stands in one of the three, and the end of a file in the stage.
        self._small = bytearray(meta)
        self._stage: Stage | None = None
        self._descriptor = -1
        self._head = b""
        # Whether there is a file in the spool.
        self._named = False
        self._in_doubt = False
        self._begun_bytes = 0

    @classmethod
    def refused(cls, error: RefusedError, claim: Claim) -> Incoming:
        """A data set that is read and thrown away, because its request is refused already."""
        incoming = cls(Path(os.devnull), b"", claim)
        incoming.failure = error
        return incoming

    def write(self, fragment: memoryview | bytes) -> None:
        """Take the next bytes of the data set."""
        if self.failure is not None:
            return
        self._digest.update(fragment)
        self.size_bytes += len(fragment)
        if self._stage is None and self.size_bytes <= SMALL_BYTES:
            self._small += fragment
            return
        try:
            self._gather(fragment)
        except OSError as error:
            self.discard()
            self.failure = error

    def sync(self) -> None:
        """Make the file durable and close it, where there is one. Raises OSError."""
        if self._descriptor >= 0:
            self.write_out()
            os.fsync(self._descriptor)
            self._close()

    def content(self) -> bytes | memoryview | None:
        """The whole Part 10 file while it is in memory; None when it is a file."""
        if self._named:
            return None
        return bytes(self._small) if self._stage is None else self._stage.content()

    def head(self) -> bytes:
        """The beginning of the data set."""
        if self._head:
            return self._head
        content = self._small if self._stage is None else self._stage.content()
        return bytes(content[self.dataset_offset : self.dataset_offset + HEAD_BYTES])

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
        if self._named and not self._in_doubt:
            self.path.unlink(missing_ok=True)
            self._named = False
        if self._stage is not None:
            self._stage.close()
            self._stage = None
        self._small = bytearray()

    def digest(self) -> str:
        """Of the data set, as it is stored."""
        return digest_text(self._digest)

    def _gather(self, fragment: memoryview | bytes) -> None:
        if self._stage is None:
            self._stage = Stage()
            self._stage.add(memoryview(self._small))
        rest = self._stage.add(memoryview(fragment))
        while rest:
            self.write_out()
            rest = self._stage.add(rest)

    def write_out(self) -> None:
        """Move what is staged into the file: whole stages, which are aligned, but for the last.

        Raises OSError.
        """
        assert self._stage is not None
        if not self._named:
            self._head = self.head()
            self._descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
            self._named = True
        content = self._stage.content()
        _write_all(self._descriptor, content)
        self._start_writing_back()
        self._stage.clear()

    def _start_writing_back(self) -> None:
        """Have the disk begin with what is here; the last sync then waits for a tail only."""
        position = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        count = position - self._begun_bytes
        if count >= _WRITE_BACK_BYTES:
            # Linux begins to write such pages at once, and keeps those it is writing.
            os.posix_fadvise(self._descriptor, self._begun_bytes, count, os.POSIX_FADV_DONTNEED)
            self._begun_bytes = position

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)


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
