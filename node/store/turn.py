"""The turn to write to SQLite, handed from one receiver process to the next by the kernel.

SQLite lets one connection write at a time, and whoever comes meanwhile sleeps 1, 2, 5, 10 and up to
100 ms before it looks again: two busy receivers then wait for each other's sleep most of the time.
Here they wait in flock(2), which wakes the next one at once. It is a courtesy only: what keeps
writers apart is SQLite's own lock, which workers, sweeper and pages take without this one.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FileTurn:
    """One lock file, as a context; of one thread of each process at a time. Never raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> None:
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError:
            # A file system without locks, or no descriptor left: then SQLite's own way.
            return

    def __exit__(self, *_error: object) -> None:
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock file; it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
