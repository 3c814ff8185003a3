"""Processor time and peak memory of processes with all their children.

Processor time counts children that have ended, which their parent has waited for. Memory of one
process is its peak resident set; of several it is the largest sum of their proportional sets (PSS,
shared pages divided among those who share them), sampled.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

_SAMPLE_SECONDS = 0.05


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time so far, of these processes and all their children."""
    total = 0.0
    for process in _trees(pids):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def peak_resident_bytes(pid: int) -> int:
    """The largest resident set that a living process has had (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


class Peak:
    """The largest memory of a process and its children."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._sampled_bytes = 0

    def bytes(self) -> int:
        """The peak so far; the process must be alive."""
        return self._sampled_bytes or peak_resident_bytes(self._pid)

    def sample(self) -> None:
        """Add up the tree, if it is more than one process."""
        tree = _trees([self._pid])
        if len(tree) > 1:
            self._sampled_bytes = max(self._sampled_bytes, sum(map(_proportional_bytes, tree)))


@contextmanager
def watched(pid: int) -> Iterator[Peak]:
    """Sample the memory of a process tree until the block ends."""
    peak, stop = Peak(pid), threading.Event()

    def watch() -> None:
        while not stop.wait(_SAMPLE_SECONDS):
            peak.sample()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def _trees(pids: Sequence[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
        except psutil.Error:
            continue
    return found


def _proportional_bytes(process: psutil.Process) -> int:
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # ended meanwhile
    return 0
