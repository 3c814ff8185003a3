"""A small file system of its own, that a test can fill: a tmpfs, or ext4 in a file. Needs root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Disk:
    """A mounted file system."""

    folder: Path

    def leave_free(self, size_bytes: int) -> None:
        """Fill it up to this many free bytes, or a few pages less."""
        self.empty()
        facts = os.statvfs(self.folder)
        filler = facts.f_bavail * facts.f_frsize - size_bytes
        with self._filler.open("wb") as stream:
            while filler > 0 and not _allocated(stream.fileno(), filler):
                # Its own blocks, or what others have written meanwhile.
                filler -= facts.f_frsize

    def empty(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


@contextmanager
def mounted(kind: str, size_bytes: int, folder: Path) -> Iterator[Disk]:
    """Mount a `tmpfs` or `ext4` inside the block; skips where that is not allowed."""
    folder.mkdir()
    if kind == "tmpfs":
        what = ["-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs"]
    else:
        image = folder.with_suffix(".image")
        image.write_bytes(b"")
        os.truncate(image, size_bytes)
        # No space is held back for root, who runs this. Blocks as of disks from 512 MB on: with
        # smaller ones the kernel ends a process (SIGBUS) whose new index of SQLite's log, which is
        # mapped into memory, gets its blocks only when the disk is full.
        make = ["mkfs.ext4", "-q", "-m", "0", "-b", "4096", str(image)]
        subprocess.run(make, check=True, timeout=60)
        what = ["-o", "loop", str(image)]
    done = subprocess.run(["mount", *what, str(folder)], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        pytest.skip(f"a full disk needs the right to mount one, run as root: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=60)


def _allocated(descriptor: int, size_bytes: int) -> bool:
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError:
        return False
    return True
