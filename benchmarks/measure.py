"""One receiver, one size, one number of associations, once.

The receiver starts empty, takes a few objects that are not counted, then those that are. Afterwards
its folder is removed and the disk is synced, so that what one receiver left unwritten does not slow
the next one down.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks import usage
from benchmarks.receivers import ROOT, Receiver, Variant
from benchmarks.sender import Plan, Sent

# Each association sends at the least this many, however short the run.
MINIMUM_OBJECTS = 2
_WARM_UP_OBJECTS = {"27MB": 2, "0.5MB": 10, "10kB": 50}
_SENDER_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Cell:
    """What is sent: one place of the table."""

    size: str
    associations: int
    delayed_acks: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run gave. `rejected` says why it gave nothing."""

    objects_per_second: float = 0.0
    megabytes_per_second: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    cpu_seconds: float = 0.0
    cpu_ms_per_object: float = 0.0
    peak_megabytes: float = 0.0
    objects: int = 0
    seconds: float = 0.0
    rejected: str = ""


def measure(
    variant: Variant, cell: Cell, folder: Path, seconds: float, quick: bool = False
) -> Measurement:
    """Start, warm up, send for `seconds`, end, clean up; `quick` neither warms up nor syncs."""
    try:
        with tempfile.TemporaryDirectory(prefix=f"{variant.name}-", dir=folder) as name:
            # PostgreSQL runs as another user and must reach its own folder in this one.
            Path(name).chmod(0o755)
            with variant.start(Path(name), cell.associations) as receiver:
                if not quick:
                    warm_up(receiver, cell)
                return measure_running(receiver, cell, seconds)
    finally:
        if not quick:
            os.sync()


def warm_up(receiver: Receiver, cell: Cell) -> None:
    """Send what is not counted: a receiver imports and caches with its first objects."""
    send(receiver, replace(cell, associations=1), 0.0, _WARM_UP_OBJECTS[cell.size])


def measure_running(receiver: Receiver, cell: Cell, seconds: float) -> Measurement:
    """The same with a receiver that runs and is warm."""
    before = usage.cpu_seconds(receiver.pids)
    with usage.watched(receiver.pids[0]) as peak:
        sent = send(receiver, cell, seconds, MINIMUM_OBJECTS)
        cpu_seconds = usage.cpu_seconds(receiver.pids) - before
        peak_bytes = peak.bytes()
    if sent.rejected:
        return Measurement(rejected=sent.rejected)
    return Measurement(
        objects_per_second=sent.objects / sent.seconds,
        megabytes_per_second=sent.bytes / sent.seconds / 1e6,
        p50_ms=sent.p50_seconds * 1000,
        p95_ms=sent.p95_seconds * 1000,
        cpu_seconds=cpu_seconds,
        cpu_ms_per_object=cpu_seconds / sent.objects * 1000,
        peak_megabytes=peak_bytes / 1e6,
        objects=sent.objects,
        seconds=sent.seconds,
    )


def send(receiver: Receiver, cell: Cell, seconds: float, minimum: int) -> Sent:
    """Run the sender in a process of its own. Raises RuntimeError with what it said."""
    plan = Plan(
        port=receiver.port,
        called_ae_title=receiver.ae_title,
        size=cell.size,
        associations=cell.associations,
        seconds=seconds,
        minimum=minimum,
        delayed_acks=cell.delayed_acks,
        run=time.time_ns() // 1_000_000 % 10**12,
    )
    argv = [sys.executable, "-m", "benchmarks.sender", json.dumps(asdict(plan))]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=_SENDER_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"the sender failed: {done.stderr.strip()[-400:]}")
    return Sent(**json.loads(done.stdout))
