"""On what it was measured: machine, disk and versions."""

from __future__ import annotations

import mmap
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.receivers import ROOT
from tests.peers import orthanc

_DISK_REPEATS = 10
_LEFT_ALONE_BYTES = 2 << 30
_STEP_BYTES = 4 << 20


def machine() -> dict[str, str]:
    """Processor, memory and system."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "processor": f"{os.cpu_count()} cores of {_processor()}",
        "memory": f"{memory:.0f} GiB",
        "system": f"{_system()}, Linux {platform.release()}",
    }


def touch_memory() -> None:
    """Use all free memory once.

    A virtual machine is given memory by its host when a page is first used, at some hundred MB/s on
    the machine of the published figures; whoever's page cache grows into such pages pays for it.
    """
    free = psutil.virtual_memory().available - _LEFT_ALONE_BYTES
    if free <= 0:
        return
    used = b"\1" * _STEP_BYTES
    with mmap.mmap(-1, free, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for begin in range(0, free - _STEP_BYTES, _STEP_BYTES):
            memory[begin : begin + _STEP_BYTES] = used


def versions() -> dict[str, str]:
    """Everything that takes part, as it names itself."""
    return {
        "Sentinode": f"{version('sentinode')}, commit {_commit()}",
        "Orthanc": _version(orthanc.program() or "Orthanc"),
        "DCMTK": _version("storescp"),
        "pynetdicom": version("pynetdicom"),
        "pydicom": version("pydicom"),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": _version("psql"),
    }


def disk(folder: Path) -> dict[str, float]:
    """What writing one file with fsync takes here, median milliseconds by size in bytes."""
    return {f"{size}": _write_ms(folder, size) for size in (27_000_000, 500_000, 10_000)}


def _write_ms(folder: Path, size_bytes: int) -> float:
    content, taken = os.urandom(size_bytes), []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for number in range(_DISK_REPEATS):
            began = time.perf_counter()
            with Path(name, str(number)).open("wb", buffering=0) as stream:
                stream.write(content)
                os.fsync(stream.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def _commit() -> str:
    return _first_line("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())


def _version(program: str) -> str:
    said = _first_line(program, "--version")
    found = re.search(r"\d+(\.\d+)+", said)
    return found.group() if found else said


def _first_line(*argv: str) -> str:
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=20)
    except OSError:
        return "not installed"
    return (done.stdout.strip().splitlines() or ["unknown"])[0]
