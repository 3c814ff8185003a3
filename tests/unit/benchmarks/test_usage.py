"""Processor time and memory of this process and its children."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks import usage

_WORK = "import time\nwhile time.process_time() < 0.3: pass"


def test_ended_children_count() -> None:
    """What a child used before it ended is its parent's, as with `storescp --fork`."""
    before = usage.cpu_seconds([os.getpid()])
    subprocess.run([sys.executable, "-c", _WORK], check=True)
    assert usage.cpu_seconds([os.getpid()]) - before > 0.25


def test_peak_of_one_process_is_its_resident_set() -> None:
    """A block that is freed again still shows in the peak."""
    before = usage.peak_resident_bytes(os.getpid())
    block = bytearray(os.urandom(64 << 20))
    del block
    assert usage.Peak(os.getpid()).bytes() >= before
    assert usage.peak_resident_bytes(os.getpid()) >= 64 << 20


def test_processes_that_are_gone_are_left_out() -> None:
    """A receiver that has ended costs nothing and raises nothing."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert usage.cpu_seconds([child.pid]) == 0.0
