"""Files written by whole stages: what goes in comes out, written ahead or not."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import threading
from functools import partial
from pathlib import Path

import pytest

from node.store import writer
from node.store.digest import digest_text, new_digest
from node.store.stage import STAGE_BYTES, Stage
from node.store.writer import Writer


def written(path: Path, content: bytes) -> bytes:
    """What the file holds when this came in pieces."""
    pieces = random.Random(1)
    made, stage = Writer(path, 0), Stage()
    rest = memoryview(content)
    while rest:
        piece, rest = rest[: (size := pieces.randint(1, 300_000))], rest[size:]
        while piece := stage.add(piece):
            stage = made.write(stage)
    digest = new_digest()
    digest.update(content)
    assert made.flush(stage) == digest_text(digest)
    made.sync()
    made.close()
    stage.close()
    return path.read_bytes()


@pytest.mark.parametrize("ahead", [0, 1, 4])
@pytest.mark.parametrize("size_bytes", [1, 4096, STAGE_BYTES, STAGE_BYTES + 1, 3_333_333, 4 << 20])
def test_the_file_holds_what_came(
    size_bytes: int, ahead: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size and however it was cut."""
    monkeypatch.setattr(writer, "_more", threading.BoundedSemaphore(ahead or 1))
    if not ahead:
        writer._more.acquire()
    content = random.Random(size_bytes).randbytes(size_bytes)
    assert written(tmp_path / "file", content) == content


def test_a_file_system_without_direct_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flag is refused when the file is made, or its first write is: the cache is used."""
    content, open_file, write = os.urandom(3 << 20), os.open, os.pwrite

    def refuse_flag(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return open_file(path, flags, mode)

    def refuse_write(descriptor: int, piece: memoryview, position: int) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(descriptor, piece, position)

    monkeypatch.setattr(os, "open", refuse_flag)
    assert written(tmp_path / "one", content) == content
    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(os, "pwrite", refuse_write)
    assert written(tmp_path / "two", content) == content


def test_a_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a write takes a part, the rest follows, aligned or not."""
    content, write = os.urandom(2 << 20), os.pwrite

    def short(descriptor: int, piece: memoryview, position: int, most: int) -> int:
        return write(descriptor, piece[:most], position)

    for most in (8192, 10_000):
        monkeypatch.setattr(os, "pwrite", partial(short, most=most))
        assert written(tmp_path / str(most), content) == content


@pytest.mark.parametrize("stages", [1, 2])
def test_a_failure_ahead_is_told(
    stages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the other thread could not write fails a later call, and nothing is leaked."""

    def full(_descriptor: int, _content: memoryview, _position: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    made, stage = Writer(tmp_path / "file", 0), Stage()
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):  # noqa: PT012  # which call it is may vary
        for _ in range(stages):
            stage.add(memoryview(bytes(STAGE_BYTES)))
            stage = made.write(stage)
        made.flush(stage)
    made.close()
    stage.close()
    free = [writer._more.acquire(blocking=False) for _ in range(writer._MORE_STAGES)]
    assert all(free)
    for _ in free:
        writer._more.release()


def test_without_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no thread could be started for is written here, and never again by a later one."""
    content, positions, write = os.urandom(4 << 20), list[int](), os.pwrite

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def noted(descriptor: int, piece: memoryview, position: int) -> int:
        positions.append(position)
        return write(descriptor, piece, position)

    writer._threads.cache_clear()
    monkeypatch.setattr(os, "pwrite", noted)
    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", refuse)
        assert written(tmp_path / "one", content) == content
    first, positions[:] = sorted(positions), []
    assert written(tmp_path / "two", content) == content
    writer._threads().shutdown(wait=True)
    writer._threads.cache_clear()
    assert sorted(positions) == first == sorted(set(first))
