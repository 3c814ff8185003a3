"""The received Part 10 file of an instance: on disk, or in its row when small."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select, update

from node.store.files import Files
from node.store.session import Store
from node.store.tables import Instance


def open_original(files: Files, path: str, content: bytes | None) -> BinaryIO:
    """Open for reading what an instance's row names. Raises OSError."""
    if content is not None:
        return BytesIO(content)
    return files.absolute(path).open("rb")


def as_file(store: Store, files: Files, instance_id: int) -> Path:
    """The instance as a file; one that stands in its row is moved out of it first.

    Raises OSError, SQLAlchemyError.
    """
    columns = (Instance.path, Instance.content, Instance.study_uid, Instance.sop_instance_uid)
    with store.reading() as session:
        path, content, *uids = session.execute(
            select(*columns).where(Instance.id == instance_id)
        ).one()
    if content is None:
        return files.absolute(path)
    relative = files.instance_path(*uids)
    files.write(relative, content)
    with store.writing() as session:
        moved: Any = session.execute(
            update(Instance)
            .where(Instance.id == instance_id, Instance.path == "")
            .values(path=relative, content=None)
        )
    if moved.rowcount == 1:
        return files.absolute(relative)
    # Another process was faster; its file is the one that the row names.
    files.absolute(relative).unlink()
    return as_file(store, files, instance_id)
