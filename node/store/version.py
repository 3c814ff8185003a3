"""Which migration the tables are at, and which one this version was written for.

Asked by every process when it starts, so it does without Alembic, which takes ten megabytes.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from node.errors import ConfigurationError
from node.settings import Settings
from node.store.session import Store, open_store

_MIGRATIONS = Path(__file__).with_name("migrations") / "versions"


def wanted_migration() -> str:
    """The newest migration; their files are named by number."""
    return max(path.name[:4] for path in _MIGRATIONS.glob("[0-9]*.py"))


def found_migration(store: Store) -> str | None:
    """The migration that the tables are at; None when there are none. Raises SQLAlchemyError.

    Who only asks leaves no empty database behind.
    """
    if store.file is not None and not store.file.exists():
        return None
    with store.engine.connect() as connection:
        if not store.engine.dialect.has_table(connection, "alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found


def require_migrated(settings: Settings) -> None:
    """Refuse to start on tables of another version. Raises ConfigurationError."""
    store = open_store(settings)
    try:
        require_tables(store)
    finally:
        store.close()


def require_tables(store: Store) -> None:
    """The same of a store that is open. Raises ConfigurationError."""
    try:
        found = found_migration(store)
    except SQLAlchemyError as error:
        raise unanswered(error, store) from error
    if found != wanted_migration():
        where = "" if store.file is None else f" {store.file}"
        raise ConfigurationError(f"database{where}: {other_migration(found)}")


def unanswered(error: SQLAlchemyError, store: Store) -> ConfigurationError:
    """What to tell a person of a database that does not do what it is asked.

    Of the driver's text only the first line: below it may stand values of a row.
    """
    said = str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
    if store.file is not None:
        return ConfigurationError(
            f"database {store.file}: {said}; the account that runs this must be able to write the "
            "file and its folder, on a disk with room; SENTINODE_STATE_DIR or "
            "SENTINODE_DATABASE_URL names another"
        )
    return ConfigurationError(
        f"database does not answer ({said}); see that it runs, and that SENTINODE_DATABASE_URL or "
        "SENTINODE_STATE_DIR names it"
    )


def other_migration(found: str | None) -> str:
    """What to do about tables of another version."""
    wanted = wanted_migration()
    if found is None:
        return (
            "no tables yet; run `sentinode db upgrade`, or name the node's own with "
            "SENTINODE_STATE_DIR or SENTINODE_DATABASE_URL"
        )
    return f"at migration {found}, this version needs {wanted}; run `sentinode db upgrade`"
