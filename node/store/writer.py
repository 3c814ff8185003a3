"""A file that grows by whole stages, written while the next ones are being filled.

Direct writes wait for the disk. On one association receiving would wait as long again; so a file
may have more stages than the one that is being filled, and threads that write those which are full.
With many associations their own threads overlap, and memory stays bounded.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

from node.store.digest import digest_text, new_digest
from node.store.direct import create, write_at
from node.store.stage import Stage

# Stages beyond the first of each file: of all files together, and of one. With a single one the two
# threads wait for each other after every mebibyte.
_MORE_STAGES, _MORE_OF_ONE = 4, 2
_more = threading.BoundedSemaphore(_MORE_STAGES)


class Writer:
    """One file, used by one thread. All but `close` raise OSError."""

    __slots__ = ("_descriptor", "_digest", "_empty", "_end", "_more", "_skip", "_writing")

    def __init__(self, path: Path, skip: int) -> None:
        """`skip`: so many bytes at the beginning are not of the data set."""
        self._descriptor = create(path)
        self._digest = new_digest()
        self._skip = skip
        # Where the next stage belongs in the file.
        self._end = 0
        # How many stages it has beyond the first, and which of them are empty.
        self._more = 0
        self._empty: list[Stage] = []
        self._writing: deque[tuple[Future[None], Stage]] = deque()

    def write(self, full: Stage) -> Stage:
        """Take a full stage; returns an empty one. What failed may be told by a later call."""
        content, position = self._count(full)
        empty = self._empty_stage()
        if empty is None:
            write_at(self._descriptor, content, position)
            full.clear()
            return full
        self._writing.append((self._begun(content, position), full))
        return empty

    def flush(self, last: Stage) -> str:
        """Have the file hold all that has come, nothing follows; returns the digest."""
        content, position = self._count(last)
        while self._writing:
            self._wait_for_first()
        write_at(self._descriptor, content, position)
        last.clear()
        return digest_text(self._digest)

    def sync(self) -> None:
        """Make what was flushed durable."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Give everything back; never raises."""
        while self._writing:
            try:
                self._wait_for_first()
            except OSError:
                continue
        for stage in self._empty:
            stage.close()
        for _ in range(self._more):
            _more.release()
        self._empty, self._more = [], 0
        with suppress(OSError):
            os.close(self._descriptor)

    def _count(self, stage: Stage) -> tuple[memoryview, int]:
        """Take its bytes into the digest; returns them, and where they belong."""
        content, position = stage.content(), self._end
        self._digest.update(content[self._skip :])
        self._skip = 0
        self._end += len(content)
        return content, position

    def _empty_stage(self) -> Stage | None:
        while self._writing and self._writing[0][0].done():
            self._wait_for_first()
        if not self._empty and self._more < _MORE_OF_ONE and _more.acquire(blocking=False):
            self._more += 1
            self._empty.append(Stage())
        if not self._empty and self._writing:
            self._wait_for_first()
        return self._empty.pop() if self._empty else None

    def _begun(self, content: memoryview, position: int) -> Future[None]:
        future: Future[None] = Future()
        try:
            _threads().submit(_write, future, self._descriptor, content, position)
        except RuntimeError:
            # No thread left in this process. The call is queued all the same, and another thread
            # may come to it when stage and descriptor are somebody else's.
            if future.cancel():
                write_at(self._descriptor, content, position)
                future = Future()
                future.set_result(None)
        return future

    def _wait_for_first(self) -> None:
        written, stage = self._writing.popleft()
        try:
            written.result()
        finally:
            stage.clear()
            self._empty.append(stage)


def _write(future: Future[None], descriptor: int, content: memoryview, position: int) -> None:
    """Write, unless it was cancelled; the outcome is the future's."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        write_at(descriptor, content, position)
    except BaseException as error:  # noqa: BLE001  # whoever waits raises it
        future.set_exception(error)
    else:
        future.set_result(None)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MORE_STAGES, thread_name_prefix="writer")
