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
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from node.errors import RefusedError
from node.identifiers import derived_uid
from node.store.digest import digest_text, new_digest
from node.store.files import Files, name_in_folder, sync_folder
from node.store.stage import Stage
from node.store.writer import Writer

# A Part 10 file up to this size is kept in its row (SQLite is then faster than a file system).
SMALL_BYTES = 1 << 16
# The header of a data set is looked for in so many bytes first.
HEAD_BYTES = 1 << 16
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
        "_digest",
        "_head",
        "_in_doubt",
        "_name",
        "_named",
        "_small",
        "_stage",
        "_target",
        "_writer",
        "claim",
        "dataset_offset",
        "failure",
        "relative",
        "size_bytes",
    )

    def __init__(self, name: str, meta: bytes, claim: Claim) -> None:
        # Of the file in the spool, if there will be one: most objects never need it as a Path.
        self._name = name
        self.claim = claim
        self.dataset_offset = len(meta)
        self.size_bytes = len(meta)
        self.failure: Exception | None = None
        # Of a file, when it is complete.
        self._digest = ""
        # What has come stands in one of the three, and the end of a file in the stage.
        self._small = bytearray(meta)
        self._stage: Stage | None = None
        self._writer: Writer | None = None
        self._head = b""
        # Whether there is a file in the spool.
        self._named = False
        # The final name while no row names it, and how a row will.
        self._target: Path | None = None
        self.relative = ""
        self._in_doubt = False

    @classmethod
    def refused(cls, error: RefusedError, claim: Claim) -> Incoming:
        """A data set that is read and thrown away, because its request is refused already."""
        incoming = cls(os.devnull, b"", claim)
        incoming.failure = error
        return incoming

    @property
    def path(self) -> Path:
        """The file in the spool."""
        return Path(self._name)

    def write(self, fragment: memoryview | bytes) -> None:
        """Take the next bytes of the data set."""
        if self.failure is not None:
            return
        self.size_bytes += len(fragment)
        if self._stage is None and self.size_bytes <= SMALL_BYTES:
            self._small += fragment
            return
        try:
            self._gather(fragment)
        except OSError as error:
            self.discard()
            self.failure = error

    def sync(self, files: Files, study_uid: str, sop_instance_uid: str) -> None:
        """Make a file durable, under its final name too, and close it. Raises OSError.

        Nothing is done for what is in memory.
        """
        if self._writer is None or self._stage is None:
            return
        self._digest = self._writer.flush(self._stage)
        self.relative = files.instance_path(study_uid, sop_instance_uid)
        target = files.absolute(self.relative)
        spooled = self.path.with_name(linking_name(self.relative))
        self.path.replace(spooled)
        self._name = str(spooled)
        name_in_folder(lambda: os.link(spooled, target), target.parent)
        self._target = target
        self._writer.sync()
        self._close()
        sync_folder(target.parent)

    def flush(self) -> None:
        """Have the file hold all that has come. Raises OSError."""
        if self._writer is not None and self._stage is not None:
            self._writer.flush(self._stage)

    def content(self) -> bytes | memoryview | None:
        """The whole Part 10 file while it is in memory; None when it is a file."""
        if self._named:
            return None
        return bytes(self._small) if self._stage is None else self._stage.content()

    def pages(self) -> memoryview | None:
        """The same with zeros to the end of its last page; None for a small one as well."""
        return None if self._named or self._stage is None else self._stage.pages()

    def head(self) -> bytes:
        """The beginning of the data set."""
        if self._head:
            return self._head
        content = self._small if self._stage is None else self._stage.content()
        return bytes(content[self.dataset_offset : self.dataset_offset + HEAD_BYTES])

    def keep(self) -> None:
        """A row names the file: only the spool's name is to go."""
        self._target = None

    def doubt(self) -> None:
        """Keep both names: whether the final one was committed is for `recover` to see."""
        self._in_doubt = True

    def discard(self) -> None:
        """Forget the data set and remove its file, but for the name that is kept."""
        self._close()
        if self._named and not self._in_doubt:
            # A disk that has become read-only keeps them for `recover`.
            with suppress(OSError):
                if self._target is not None:
                    self._target.unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)
            self._named = False
        if self._stage is not None:
            self._stage.close()
            self._stage = None
        self._small = bytearray()

    def digest(self) -> str:
        """Of the data set, as it is stored; of a file when it is synced."""
        content = self.content()
        if content is None:
            return self._digest
        digest = new_digest()
        digest.update(memoryview(content)[self.dataset_offset :])
        return digest_text(digest)

    def _gather(self, fragment: memoryview | bytes) -> None:
        if self._stage is None:
            self._stage = Stage()
            self._stage.add(memoryview(self._small))
        rest = self._stage.add(memoryview(fragment))
        while rest:
            if self._writer is None:
                self._head = self.head()
                self._writer = Writer(self.path, self.dataset_offset)
                self._named = True
            self._stage = self._writer.write(self._stage)
            rest = self._stage.add(rest)

    def _close(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()


def linking_name(relative: str) -> str:
    """The spool name of a file that is being linked to its final path."""
    return relative.replace("/", "~")


def final_path(name: str) -> str | None:
    """The final path that a spool name tells, or None for a half received file."""
    return name.replace("~", "/") if "~" in name else None


def file_meta(claim: Claim) -> bytes:
    """Preamble and File Meta Information (PS3.10 table 7.1-1), Explicit VR Little Endian."""
    before, after = _around_instance(
        claim.AffectedSOPClassUID, claim.transfer_syntax_uid, claim.calling_ae_title
    )
    group = before + _element(0x0003, b"UI", claim.AffectedSOPInstanceUID) + after
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(group))  # 16-bit length, value
    return b"\0" * 128 + b"DICM" + length + group


def _element(number: int, representation: bytes, text: str) -> bytes:
    value = text.encode("ascii", errors="replace")
    if len(value) % 2:
        value += b"\0" if representation == b"UI" else b" "
    return struct.pack("<HH2sH", 0x0002, number, representation, len(value)) + value


@lru_cache(maxsize=256)
def _around_instance(
    sop_class_uid: str, transfer_syntax_uid: str, calling_ae_title: str
) -> tuple[bytes, bytes]:
    """What all objects of an association have in common."""
    version = struct.pack("<HH2sHI", 0x0002, 0x0001, b"OB", 0, 2) + b"\0\1"
    after = (
        _element(0x0010, b"UI", transfer_syntax_uid),
        _element(0x0012, b"UI", _IMPLEMENTATION_CLASS_UID),
        _element(0x0013, b"SH", _IMPLEMENTATION_VERSION_NAME),
        _element(0x0016, b"AE", calling_ae_title),
    )
    return version + _element(0x0002, b"UI", sop_class_uid), b"".join(after)
