"""Alembic, driven from here: there is no alembic.ini to find at run time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util.exc import CommandError
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from node.errors import ConfigurationError
from node.settings import Settings
from node.store.session import make_file, open_store
from node.store.version import unanswered

# Any number that nobody else locks in the same database.
_LOCK = 0x53454E54
_SCRIPTS = Path(__file__).with_name("migrations")


def upgrade(settings: Settings, to: str = "head") -> str:
    """Bring the database to migration `to`; returns its name. Raises ConfigurationError.

    In one transaction, which nobody else is in: of two that upgrade at once the second finds
    nothing left to do, and one that is killed leaves the tables as they were.
    """
    store = open_store(settings)
    make_file(store, settings)
    configuration = Config()
    configuration.set_main_option("script_location", str(_SCRIPTS))
    try:
        with (
            store.engine.connect().execution_options(sentinode_write=True) as connection,
            connection.begin(),
        ):
            _wait_for_others(connection)
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, to)
            found = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise unanswered(error, store) from error
    except CommandError as error:
        raise ConfigurationError(
            f"database: {error}; it was made by a later version, whose `sentinode` must upgrade it"
        ) from error
    finally:
        store.close()
    return str(found)


def _wait_for_others(connection: Connection) -> None:
    """PostgreSQL lets several change its tables at once; SQLite has begun with its write lock."""
    if connection.dialect.name == "postgresql":
        # Who upgrades waits for as long as it takes.
        connection.execute(select(func.set_config("lock_timeout", "0", True)))
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
