"""Objects of medium size, one after another in one file that is allocated ahead.

A file of its own costs such an object an inode, two names and two syncs; in a pack it costs one
write, which it shares with all that are committed in the same transaction, and one sync. What a
pack holds is whole Part 10 files, each beginning on a page.

A pack belongs to the process that fills it. The process's spool folder holds a second name of the
pack while it is being filled, so that what a crash leaves behind the last committed object is cut
off by `recover`. Between committed objects there may be bytes of one whose commit failed: no row
names them.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from node.store.direct import create, write_at
from node.store.files import sync_folder
from node.store.incoming import linking_name
from node.store.stage import PAGE_BYTES

FOLDER = "packs"
# Allocated in steps: writing into allocated blocks moves no end of file, which saves a journal
# commit in most syncs.
_STEP_BYTES = 16 << 20
_LARGEST_BYTES = 1 << 30
# In `packs/`, and in the spool while it is being filled.
_NAMES = 2


class Pack:
    """Where one process appends."""

    def __init__(self, root: Path, spool: Path) -> None:
        self._root = root
        self._spool = spool
        self._lock = threading.Lock()
        self._number = 0
        self._descriptor = -1
        self._relative = ""
        self._end = self._allocated = 0

    def append(self, contents: Sequence[memoryview | bytes]) -> list[tuple[str, int]]:
        """Make the contents durable; returns path and offset of each. Raises OSError.

        Contents of whole pages that begin on a page are written past the page cache.
        """
        with self._lock:
            try:
                return self._append(contents, [_whole_pages(len(content)) for content in contents])
            except OSError:
                if not self._end:
                    self._close()
                raise

    def close(self) -> None:
        """Cut off what was allocated and not used."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        with suppress(OSError):
            os.ftruncate(descriptor, self._end)
        os.close(descriptor)
        if not self._end:
            (self._root / self._relative).unlink(missing_ok=True)
        (self._spool / linking_name(self._relative)).unlink(missing_ok=True)

    def _append(
        self, contents: Sequence[memoryview | bytes], sizes: Sequence[int]
    ) -> list[tuple[str, int]]:
        if self._end + sum(sizes) > _LARGEST_BYTES or self._has_no_name():
            self._begin()
        self._allocate(self._end + sum(sizes))
        places, position = [], self._end
        for content, size in zip(contents, sizes, strict=True):
            write_at(self._descriptor, memoryview(content), position)
            places.append((self._relative, position))
            position += size
        os.fdatasync(self._descriptor)
        # Only now: what a full disk cut is written over by the next one.
        self._end = position
        return places

    def _has_no_name(self) -> bool:
        """Whether there is none, or somebody removed it: what is written there would be lost."""
        return self._descriptor < 0 or os.fstat(self._descriptor).st_nlink != _NAMES

    def _begin(self) -> None:
        self._close()
        self._number += 1
        relative = f"{FOLDER}/{self._spool.name}.{self._number}.pack"
        target = self._root / relative
        marker = self._spool / linking_name(relative)
        self._relative, self._end, self._allocated = relative, 0, 0
        self._descriptor = create(marker)
        os.link(marker, target)
        sync_folder(target.parent)

    def _allocate(self, needed_bytes: int) -> None:
        if needed_bytes <= self._allocated:
            return
        wanted = max(needed_bytes, self._allocated + _STEP_BYTES)
        try:
            os.posix_fallocate(self._descriptor, 0, wanted)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EOPNOTSUPP):
                raise
            # There may be room for the objects themselves; their writes will tell.
            wanted = needed_bytes
        self._allocated = wanted


def is_pack(relative: str) -> bool:
    """Whether a path of the database names a pack."""
    return relative.startswith(f"{FOLDER}/")


def trim(root: Path, relative: str, end: int) -> None:
    """Cut a dead process's pack behind its last committed object. Raises OSError."""
    os.truncate(root / relative, _whole_pages(end))


def _whole_pages(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES
