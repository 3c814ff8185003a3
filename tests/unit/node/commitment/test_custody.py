"""Whether a kept file is still what was received."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from node.commitment.custody import (
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    Copy,
    damage,
    is_whole,
)
from node.store.files import Files
from node.store.originals import Place

META, CONTENT = b"meta" * 40, b"data set" * 100_000


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A state directory with one kept object."""
    (tmp_path / "object.dcm").write_bytes(META + CONTENT)
    return Files(tmp_path)


def copy(**instead: object) -> Copy:
    """What the row of that object says."""
    right = {
        "sop_class_uid": "1.2.3",
        "place": Place("object.dcm", None, len(META + CONTENT), None),
        "dataset_offset": len(META),
        "digest": "sha256:" + hashlib.sha256(CONTENT).hexdigest(),
    }
    return Copy(**(right | instead))


def test_digest_covers_the_data_set(files: Files) -> None:
    """The digest is that of the bytes from the row's offset on; 0 is the whole file."""
    assert is_whole(files, copy())
    whole = "sha256:" + hashlib.sha256(META + CONTENT).hexdigest()
    assert is_whole(files, copy(dataset_offset=0, digest=whole))
    assert damage(copy(), files) is None


@pytest.mark.parametrize("position", [len(META), len(META + CONTENT) - 1])
def test_one_changed_bit_is_damage(files: Files, position: int) -> None:
    """The first and the last byte of the data set count."""
    content = bytearray(META + CONTENT)
    content[position] ^= 1
    files.absolute("object.dcm").write_bytes(content)
    assert damage(copy(), files) == PROCESSING_FAILURE


@pytest.mark.parametrize("content", [b"", META + CONTENT[:-1], META + CONTENT + b"x"])
def test_another_length_is_damage(files: Files, content: bytes) -> None:
    """Cut, emptied or grown."""
    files.absolute("object.dcm").write_bytes(content)
    assert damage(copy(), files) == PROCESSING_FAILURE


def test_a_missing_file_is_damage(files: Files) -> None:
    """No file, and a folder in its place."""
    files.absolute("object.dcm").unlink()
    assert damage(copy(), files) == PROCESSING_FAILURE
    files.absolute("object.dcm").mkdir()
    assert damage(copy(), files) == PROCESSING_FAILURE


def test_an_unknown_digest_is_no_proof(files: Files) -> None:
    """What cannot be checked is not committed to."""
    assert damage(copy(digest="md9:00"), files) == PROCESSING_FAILURE


def test_small_objects_are_checked_in_their_row(files: Files) -> None:
    """Content that stands in the row counts as the file would."""
    whole = META + CONTENT

    def in_row(content: bytes) -> Copy:
        return copy(place=Place("", None, len(whole), content))

    assert damage(in_row(whole), files) is None
    assert damage(in_row(whole[:-1] + b"x"), files) == PROCESSING_FAILURE
    assert damage(in_row(whole[:-1]), files) == PROCESSING_FAILURE


def test_medium_objects_are_checked_in_their_pack(files: Files) -> None:
    """What stands before and after an object in its pack is none of its bytes."""
    whole = META + CONTENT
    packed = copy(place=Place("a.pack", 4096, len(whole), None))
    files.absolute("a.pack").write_bytes(b"x" * 4096 + whole + b"y" * 100)
    assert damage(packed, files) is None
    files.absolute("a.pack").write_bytes(b"x" * 4096 + whole[:-1])
    assert damage(packed, files) == PROCESSING_FAILURE


def test_a_shortage_is_not_damage(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """No free file descriptor says nothing about the object."""

    def no_descriptor(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "open", no_descriptor)
    assert damage(copy(), files) == RESOURCE_LIMITATION
