"""A file that grows by whole stages, written while the next one is being filled.

Direct writes wait for the disk. On one association receiving would wait as long again; so a few
files at a time have a second buffer, and a thread that writes the one while the sender fills the
other. With many associations their own threads overlap, and memory stays bounded.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

from node.store.digest import digest_text, new_digest
from node.store.direct import create, write_all
from node.store.stage import Stage

_FILES_AHEAD = 4
_ahead = threading.BoundedSemaphore(_FILES_AHEAD)


class Writer:
    """One file, used by one thread. All but `close` raise OSError."""

    __slots__ = (
        "_descriptor",
        "_digest",
        "_has_second",
        "_idle",
        "_skip",
        "_writing",
        "_written",
    )

    def __init__(self, path: Path, skip: int) -> None:
        """`skip`: so many bytes at the beginning are not of the data set."""
        self._descriptor = create(path)
        self._digest = new_digest()
        self._skip = skip
        self._has_second = _ahead.acquire(blocking=False)
        self._idle = Stage() if self._has_second else None
        self._writing: Stage | None = None
        self._written: Future[None] | None = None

    def write(self, full: Stage) -> Stage:
        """Take a full stage; returns an empty one."""
        self._wait()
        if self._idle is None or not self._begin_to_write(full):
            self._put(full.content())
            full.clear()
            return full
        empty, self._idle = self._idle, None
        self._writing = full
        return empty

    def flush(self, last: Stage) -> str:
        """Have the file hold all that has come, nothing follows; returns the digest."""
        self._wait()
        self._put(last.content())
        last.clear()
        return digest_text(self._digest)

    def sync(self) -> None:
        """Make what was flushed durable."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Give everything back; never raises."""
        try:
            self._wait()
        except OSError:
            pass
        finally:
            if self._idle is not None:
                self._idle.close()
                self._idle = None
            if self._has_second:
                self._has_second = False
                _ahead.release()
            os.close(self._descriptor)

    def _begin_to_write(self, full: Stage) -> bool:
        try:
            self._written = _threads().submit(self._put, full.content())
        except RuntimeError:
            # No thread left in this process.
            return False
        return True

    def _put(self, content: memoryview) -> None:
        # By the stage: each call lets other threads run, and there are few hundreds less of them.
        self._digest.update(content[self._skip :])
        self._skip = 0
        write_all(self._descriptor, content)

    def _wait(self) -> None:
        if self._written is None:
            return
        assert self._writing is not None
        written, self._written = self._written, None
        self._idle, self._writing = self._writing, None
        try:
            written.result()
        finally:
            self._idle.clear()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_FILES_AHEAD, thread_name_prefix="writer")
