"""Command line validators of Debian, with what they say of one file, and real files to judge by."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset


def dciodvfy(path: Path) -> list[str]:
    """The lines that dciodvfy (dicom3tools) prints about a file."""
    done = run("dciodvfy", "dicom3tools", path)
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, "dciodvfy said nothing"
    return lines


def dciodvfy_errors(path: Path) -> list[str]:
    """Those of them that it calls errors."""
    return [line for line in dciodvfy(path) if "Error" in line]


def errors_in(dataset: Dataset, folder: Path) -> list[str]:
    """What dciodvfy calls errors in a data set, once it is written."""
    return dciodvfy_errors(_written(dataset, folder))


def dsrdump(path: Path) -> str:
    """What dsrdump (DCMTK) reads in a report; it refuses a tree that breaks the IOD's constraints.

    PS3.3 A.35: value types, relationships and targets of each SOP class.
    """
    done = run("dsrdump", "dcmtk", "+Pl", path)
    assert done.returncode == 0, done.stderr
    assert "E:" not in done.stderr
    return done.stdout


def dumped(report: Dataset, folder: Path) -> str:
    """What dsrdump reads in a report, once it is written."""
    return dsrdump(_written(report, folder))


def run(program: str, package: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What a program of this Debian package answers. Skips where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False)


def real_header(path: Path) -> Dataset:
    """The header of a real image. Skips where the folder of real data lacks it."""
    if not path.is_file():
        pytest.skip(f"no {path.name} in {path.parent}: set SENTINODE_DATA")
    with warnings.catch_warnings():
        # Real headers break length rules; reading them anyway is the point.
        warnings.simplefilter("ignore")
        source = pydicom.dcmread(path, stop_before_pixels=True)
        # Values are converted at first access: do it here, once.
        list(source.iterall())
    return source


def _written(dataset: Dataset, folder: Path) -> Path:
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path
