"""The spool: what living processes hold, on this machine or another, nobody takes for abandoned."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from node.store.spool import Spool, abandoned, clean


def test_a_living_process_keeps_its_folder(tmp_path: Path) -> None:
    """Also one of an earlier version, which locks the folder alone; a dead one's is cleaned."""
    spool = Spool(tmp_path)
    earlier = tmp_path / "1-earlier"
    earlier.mkdir()
    descriptor = os.open(earlier, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    dead = tmp_path / "2-dead"
    dead.mkdir()
    for name in (".lock", "0.part"):
        (dead / name).touch()
    assert abandoned(tmp_path) == [dead]
    assert clean(dead, lambda _path: None, tmp_path) == 1
    spool.close()
    os.close(descriptor)
    assert abandoned(tmp_path) == [earlier]
    assert list(tmp_path.iterdir()) == [earlier]


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A folder as two machines see it over NFS: locks of files hold for both, of folders not."""
    if which("bindfs") is None or not Path("/dev/fuse").exists():
        pytest.skip("bindfs is not installed: apt-get install bindfs")
    disk, *machines = (tmp_path / name for name in ("disk", "here", "there"))
    disk.mkdir()
    try:
        for machine in machines:
            machine.mkdir()
            options = ["--enable-lock-forwarding", "--multithreaded"]
            done = subprocess.run(["bindfs", *options, disk, machine], capture_output=True)
            if done.returncode:
                pytest.skip("this machine mounts nothing by FUSE")
        yield machines[0], machines[1]
    finally:
        for machine in machines:
            _unmount(machine)


def _unmount(machine: Path) -> None:
    for _ in range(20):
        if not machine.is_mount():
            return
        subprocess.run([which("fusermount3") or "fusermount", "-u", machine], capture_output=True)
        time.sleep(0.1)


def test_a_process_on_another_machine_keeps_its_folder(shared: tuple[Path, Path]) -> None:
    """A receiver that starts leaves alone what those on other machines are receiving."""
    here, there = shared
    spool = Spool(here)
    assert [each.name for each in there.iterdir()] == [spool.folder.name]
    assert abandoned(there) == []
    spool.close()
    assert list(there.iterdir()) == []
