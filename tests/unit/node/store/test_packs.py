"""Packs: what is appended stands where it says, and a crash leaves no more than was committed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.store import packs
from node.store.packs import Pack, is_pack, trim


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A state directory with its folders."""
    (tmp_path / "packs").mkdir()
    (tmp_path / "spool").mkdir()
    return tmp_path


def kept(root: Path, place: tuple[str, int], size_bytes: int) -> bytes:
    """What stands at a place."""
    path, offset = place
    return (root / path).read_bytes()[offset : offset + size_bytes]


def test_contents_stand_on_pages_of_their_own(root: Path) -> None:
    """Several appended at once, and more after them, are found where the pack says."""
    pack = Pack(root, root / "spool")
    contents = [b"a" * 70_000, b"b" * 4096, b"c"]
    places = pack.append(contents)
    places += pack.append([b"d" * 100_000])
    for place, content in zip(places, [*contents, b"d" * 100_000], strict=True):
        assert is_pack(place[0])
        assert place[1] % 4096 == 0
        assert kept(root, place, len(content)) == content
    pack.close()


def test_a_closed_pack_has_no_unused_space(root: Path) -> None:
    """What was allocated ahead goes, and so does the name in the spool."""
    pack = Pack(root, root / "spool")
    ((path, _),) = pack.append([b"a" * 5000])
    assert (root / path).stat().st_size > 1 << 20
    assert os.listdir(root / "spool")
    pack.close()
    assert (root / path).stat().st_size == 8192
    assert os.listdir(root / "spool") == []


def test_a_full_pack_is_followed_by_another(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each keeps its objects; only the last is in the spool."""
    monkeypatch.setattr(packs, "_LARGEST_BYTES", 100_000)
    pack = Pack(root, root / "spool")
    places = [pack.append([bytes([number]) * 60_000])[0] for number in range(3)]
    assert len({path for path, _ in places}) == 3
    assert len(os.listdir(root / "spool")) == 1
    for number, place in enumerate(places):
        assert kept(root, place, 60_000) == bytes([number]) * 60_000
    pack.close()


def test_a_failed_write_leaves_no_gap(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full disk cut is written over; a pack without any object goes."""
    pack = Pack(root, root / "spool")
    write = os.pwrite

    def full(descriptor: int, content: memoryview, position: int) -> int:
        write(descriptor, content[:100], position)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        pack.append([b"x" * 70_000])
    assert os.listdir(root / "packs") == []
    monkeypatch.setattr(os, "pwrite", write)
    first = pack.append([b"a" * 70_000])[0]
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        pack.append([b"x" * 70_000])
    monkeypatch.setattr(os, "pwrite", write)
    second = pack.append([b"b" * 70_000])[0]
    assert second == (first[0], first[1] + 73_728)
    assert kept(root, second, 70_000) == b"b" * 70_000
    pack.close()


def test_a_dead_process_s_pack_is_cut(root: Path) -> None:
    """Behind the last committed object nothing stays."""
    pack = Pack(root, root / "spool")
    path, offset = pack.append([b"a" * 5000])[0]
    pack.append([b"b" * 5000])
    trim(root, path, offset + 5000)
    assert (root / path).read_bytes() == b"a" * 5000 + bytes(3192)


def test_a_removed_pack_is_written_to_no_more(root: Path) -> None:
    """Somebody who tidies up takes what is in it, and nothing that comes afterwards."""
    pack = Pack(root, root / "spool")
    path, _ = pack.append([b"a" * 5000])[0]
    (root / path).unlink()
    place = pack.append([b"b" * 5000])[0]
    assert place[0] != path
    assert kept(root, place, 5000) == b"b" * 5000
    pack.close()
    assert os.listdir(root / "spool") == []
