"""Engine and transactions for SQLite (WAL) and PostgreSQL alike.

`writing()` is one transaction that is durable when it returns: SQLite runs with synchronous=FULL,
PostgreSQL with its default synchronous_commit. Nothing is created at import.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Insert, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from node.errors import ConfigurationError
from node.settings import Settings
from node.store.files import FILE_MODE, FOLDER_MODE
from node.store.turn import FileTurn

# How long a writer waits for another writer of SQLite's single write lock.
SQLITE_BUSY_SECONDS = 30
# Of SQLite's write-ahead log, 16 MB, before it is copied into the database.
LOG_PAGES = 4000
# What the log keeps of its length after somebody who looked for long had made it grow.
_LOG_KEEPS_BYTES = 32 << 20
# PostgreSQL: how long a statement waits for a row that somebody else has locked; as with SQLite.
_LOCK_SECONDS = SQLITE_BUSY_SECONDS
# How long a transaction may stand still before PostgreSQL ends it: its process is frozen or its
# host gone, and others wait for its locks. Comparing 4 GB that came again takes a slow disk 200 s.
_STILL_SECONDS = 300
# A host of PostgreSQL that is gone without a word is noticed after this, not when TCP gives up, a
# quarter of an hour later. What the URL says wins.
_NETWORK = {
    "connect_timeout": "10",
    "tcp_user_timeout": "30000",  # ms, for what was sent
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


class Store:
    """The database, as one object that is passed on."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        dbapi: Any = self.engine.dialect.dbapi
        self._commits = _Kept(self.engine, dbapi.Error, sentinode_write=True)
        self._looks = _Kept(self.engine, dbapi.Error, isolation_level="AUTOCOMMIT")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for queries; nothing is committed."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def reading_at_once(self) -> Iterator[Session]:
        """The same where all queries must see one moment; PostgreSQL shows each its own."""
        sqlite_does = self.engine.dialect.name == "sqlite"
        options: dict[str, Any] = {} if sqlite_does else {"isolation_level": "REPEATABLE READ"}
        connection = self.engine.connect().execution_options(**options)
        with connection, Session(connection, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any error."""
        connection = self.engine.connect().execution_options(sentinode_write=True)
        with connection, Session(connection, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def committing(self) -> Iterator[Connection]:
        """The same without objects, for the hot path; the driver's errors come as SQLAlchemy's."""
        with self._commits.connection() as connection, connection.begin():
            yield connection

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """For `Statement`s that only read, each for itself; errors as with `committing`."""
        with self._looks.connection() as connection:
            yield connection

    @property
    def file(self) -> Path | None:
        """SQLite's file; None of another database, or of one in memory."""
        database = self.engine.url.database
        if self.engine.dialect.name != "sqlite" or not database or database == ":memory:":
            return None
        return Path(database)

    def turn(self) -> AbstractContextManager[object]:
        """A turn among processes for `committing`; one object for all transactions of a process."""
        return nullcontext() if self.file is None else FileTurn(Path(f"{self.file}-turn"))

    def close(self) -> None:
        """Close every pooled connection."""
        self._commits.close()
        self._looks.close()
        self.engine.dispose()


class _Kept:
    """One connection that is kept, for one thread at a time.

    To take one from the pool and give it back costs more than the hot path's transaction. After any
    error it is a new one.
    """

    def __init__(self, engine: Engine, driver_error: type[Exception], **options: Any) -> None:
        self._engine = engine
        self._driver_error = driver_error
        self._options = options
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        with self._lock:
            connection = self._connection or self._engine.connect().execution_options(
                **self._options
            )
            self._connection = connection
            try:
                yield connection
            except BaseException as error:
                self._connection = None
                connection.close()
                if isinstance(error, self._driver_error):
                    raise OperationalError(None, None, error) from error
                raise

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def open_store(settings: Settings) -> Store:
    """The store that the settings name. Raises ConfigurationError."""
    try:
        return Store(settings.database)
    except (ArgumentError, ImportError) as error:
        # Not its text, which may hold a password.
        raise ConfigurationError(
            f"SENTINODE_DATABASE_URL cannot be used ({type(error).__name__}); write "
            "postgresql+psycopg://user:password@host/name, or leave it empty for SQLite"
        ) from error


def make_file(store: Store, settings: Settings) -> None:
    """Make the folder and the empty file of SQLite where they are missing.

    Raises ConfigurationError.
    """
    path = store.file
    if path is None:
        return
    try:
        settings.state_dir.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable_state(settings, error) from error
    with suppress(OSError):  # SQLite itself says best what is wrong with another folder
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))


def unusable_state(settings: Settings, error: OSError) -> ConfigurationError:
    """What to tell of a state folder that cannot be made or written."""
    return ConfigurationError(
        f"SENTINODE_STATE_DIR {settings.state_dir} cannot be used ({error.strerror}); it must be a "
        "folder with free space that the account which runs the node may write"
    )


def insert_for(session: Session | Connection, table: type[DeclarativeBase]) -> Any:
    """An INSERT of the session's dialect, which knows `on_conflict_do_nothing` and `_update`."""
    bind = session.get_bind() if isinstance(session, Session) else session
    name = bind.dialect.name
    maker: Any = sqlite.insert if name == "sqlite" else postgresql.insert
    statement: Insert = maker(table)
    return statement


def changed_one(session: Session, statement: Any) -> bool:
    """Run an UPDATE of one row on a condition; whether that held, so that the row is written."""
    result: Any = session.execute(statement.execution_options(synchronize_session=False))
    return bool(result.rowcount == 1)


def left_nothing(error: BaseException) -> bool:
    """Whether a commit that raised this has certainly not happened: the database itself said so.

    Not when the connection was lost, nor when SQLite could not sync: what it wrote may be valid.
    """
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return False
    sqlite_code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return sqlite_code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)
    return getattr(error.orig, "sqlstate", None) is not None


def _engine(url: str) -> Engine:
    # An error's text would otherwise hold the values of its statement: names, in a log.
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        network = {name: value for name, value in _NETWORK.items() if name not in parsed.query}
        engine = create_engine(url, connect_args=network, pool_pre_ping=True, hide_parameters=True)
        event.listen(engine, "connect", _configure_postgresql)
        return engine
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_postgresql(connection: Any, _record: Any) -> None:
    # Not as `options` of the connection, which poolers refuse.
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{_STILL_SECONDS}s'")
    connection.commit()


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: a read that later writes would fail at once
    # with "database is locked" instead of waiting.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # Copying the log into the database every 16 MB instead of 4 MB: small objects stand in rows.
    cursor.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
    cursor.execute(f"PRAGMA journal_size_limit={_LOG_KEEPS_BYTES}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("sentinode_write", False)
    # On the driver's cursor: SQLAlchemy's own way costs as much as a whole look-up.
    connection.connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")
