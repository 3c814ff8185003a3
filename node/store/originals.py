"""The received Part 10 file of an instance: a file of its own, in a pack, or in its row."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import select

from node.store.files import Files
from node.store.session import Store
from node.store.tables import Instance

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of an instance stand; fields as the columns of `PLACE`."""

    path: str
    pack_offset: int | None
    size_bytes: int
    content: bytes | None


PLACE = (Instance.path, Instance.pack_offset, Instance.size_bytes, Instance.content)


def place_of(store: Store, instance_id: int) -> Place:
    """Where an instance stands. Raises SQLAlchemyError."""
    with store.reading() as session:
        return Place(*session.execute(select(*PLACE).where(Instance.id == instance_id)).one())


def open_original(files: Files, place: Place) -> BinaryIO:
    """Open the Part 10 file of an instance for reading. Raises OSError."""
    if place.content is not None:
        return BytesIO(place.content)
    stream = files.absolute(place.path).open("rb")
    if place.pack_offset is None:
        return stream
    with stream:
        stream.seek(place.pack_offset)
        return BytesIO(stream.read(place.size_bytes))


def is_there(files: Files, place: Place) -> bool:
    """Whether there are as many bytes as the row says. Raises OSError."""
    if place.content is not None:
        return True
    try:
        size_bytes = files.absolute(place.path).stat().st_size
    except FileNotFoundError:
        return False
    if place.pack_offset is None:
        return size_bytes == place.size_bytes
    return size_bytes >= place.pack_offset + place.size_bytes


def same_bytes(one: BinaryIO, other: BinaryIO) -> bool:
    """Whether what is left of two streams is the same. Raises OSError."""
    while True:
        chunk = one.read(_CHUNK_BYTES)
        if chunk != other.read(_CHUNK_BYTES):
            return False
        if not chunk:
            return True


@contextmanager
def as_path(files: Files, place: Place) -> Iterator[Path]:
    """The Part 10 file of an instance under a path, for the length of the block. Raises OSError.

    What stands in a row or a pack becomes a file in memory, so that all are read in one way.
    """
    if place.content is None and place.pack_offset is None:
        yield files.absolute(place.path)
        return
    with open_original(files, place) as stream:
        content = stream.read()
    with in_memory(content) as path:
        yield path


@contextmanager
def in_memory(content: bytes) -> Iterator[Path]:
    """A file of this content that is on no disk, under a path, for the length of the block."""
    with os.fdopen(os.memfd_create("instance"), "wb") as memory:
        memory.write(content)
        memory.flush()
        yield Path(f"/proc/self/fd/{memory.fileno()}")
