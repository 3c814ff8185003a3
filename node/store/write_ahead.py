"""SQLite's write-ahead log, laid out on the disk before the first object comes.

A commit that makes the log longer costs half as much again as one that writes over it: the file
system allots blocks, and syncs its own journal for them. The log has its full length after its
first checkpoint, some hundred small objects after every start.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from node.logs import log
from node.store.session import LOG_PAGES, Store

# Of SQLite's databases, with the header of each page in the log.
_PAGE_BYTES = 4096
_BLOB_BYTES = 1 << 16
# What the page cache holds back, and a little more; meanwhile it is 64 pages, since memory that it
# once had stays with the process.
_CACHE_PAGES = 64
_HELD_BACK_BYTES = 1 << 20
# Where less is free, room is for objects.
_AMPLE_BYTES = 1 << 30


def lay_out(store: Store) -> None:
    """Give the log its length, if there is room. Never raises: without it all works as well."""
    database = store.engine.url.database
    if store.engine.dialect.name != "sqlite" or not database:
        return
    path = Path(f"{database}-wal")
    try:
        if shutil.disk_usage(path.parent).free < _AMPLE_BYTES:
            return
        with store.engine.connect() as connection:
            _lay_out(connection.execution_options(sentinode_write=True), path)
    except (SQLAlchemyError, OSError) as error:
        log.info("write-ahead log not laid out", extra={"reason": type(error).__name__})


def _lay_out(connection: Connection, path: Path) -> None:
    usual = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql(f"PRAGMA cache_size={_CACHE_PAGES}")
    connection.rollback()
    try:
        if _fill(connection, path):
            _sync(path)
    finally:
        # Its pool gives the connection out again.
        connection.exec_driver_sql(f"PRAGMA cache_size={usual}")


def _fill(connection: Connection, path: Path) -> bool:
    """Write zeros to the log and take them back; False where it is long enough already."""
    length = LOG_PAGES * _PAGE_BYTES
    with connection.begin() as transaction:
        if path.stat().st_size >= length:
            return False
        # More than the cache holds, so that it is written to the log.
        connection.exec_driver_sql("CREATE TABLE filler (content BLOB)")
        for _ in range((length + _HELD_BACK_BYTES) // _BLOB_BYTES):
            connection.exec_driver_sql("INSERT INTO filler VALUES (zeroblob(?))", (_BLOB_BYTES,))
        transaction.rollback()
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
