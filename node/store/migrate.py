"""Alembic, driven from here: there is no alembic.ini to find at run time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util.exc import CommandError
from sqlalchemy.exc import SQLAlchemyError

from node.errors import ConfigurationError
from node.settings import Settings
from node.store.session import open_store
from node.store.version import unanswered

_SCRIPTS = Path(__file__).with_name("migrations")


def upgrade(settings: Settings) -> str:
    """Bring the database to the newest migration; returns its name. Raises ConfigurationError."""
    store = open_store(settings)
    configuration = Config()
    configuration.set_main_option("script_location", str(_SCRIPTS))
    try:
        with store.engine.connect().execution_options(sentinode_write=True) as connection:
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
            connection.commit()
            found = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise unanswered(error) from error
    except CommandError as error:
        raise ConfigurationError(
            f"database: {error}; it was made by a later version, whose `sentinode` must upgrade it"
        ) from error
    finally:
        store.close()
    return str(found)
