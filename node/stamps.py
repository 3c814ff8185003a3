"""Whether a file is another than it was: what is read once and looked at for every request."""

from __future__ import annotations

from pathlib import Path

# Inode, time of change in nanoseconds, size in bytes; None where there is no file.
Stamp = tuple[int, int, int] | None


def stamp(path: Path | None) -> Stamp:
    """The stamp of a file. The inode too: a Secret of Kubernetes is replaced by moving a link."""
    try:
        facts = None if path is None else path.stat()
    except OSError:
        return None
    return facts and (facts.st_ino, facts.st_mtime_ns, facts.st_size)
