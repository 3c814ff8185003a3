"""The received Part 10 file of an instance: on disk, or in its row when small."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

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
        path, content, study_uid, sop_instance_uid = session.execute(
            select(*columns).where(Instance.id == instance_id)
        ).one()
    if content is None:
        return files.absolute(path)
    # The same name each time: what a crash leaves here, and what another process writes at the
    # same moment, is the file that the row will name.
    relative = files.instance_path(study_uid, sop_instance_uid, f"row-{instance_id}")
    files.write(relative, content)
    with store.writing() as session:
        session.execute(
            update(Instance)
            .where(Instance.id == instance_id, Instance.path == "")
            .values(path=relative, content=None)
        )
    return files.absolute(relative)
