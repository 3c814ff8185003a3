"""Command line validators of Debian, with what they say of one file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def dciodvfy_errors(path: Path) -> list[str]:
    """The lines that dciodvfy (dicom3tools) calls errors."""
    done = _run("dciodvfy", "dicom3tools", str(path))
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, "dciodvfy said nothing"
    return [line for line in lines if "Error" in line]


def dsrdump(path: Path) -> str:
    """What dsrdump (DCMTK) reads in a report; it refuses a tree that breaks the IOD's constraints.

    PS3.3 A.35: value types, relationships and targets of each SOP class.
    """
    done = _run("dsrdump", "dcmtk", "+Pl", str(path))
    assert done.returncode == 0, done.stderr
    assert "E:" not in done.stderr
    return done.stdout


def _run(program: str, package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program}: install {package}")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
