"""A study that is being retrieved stays until that is over: retention passes it by.

The hold is a time in the study's row, renewed while the retrieval goes on. Whoever dies leaves one
that ends by itself; several on one study need not know of each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import update

from node.job import utc_now
from node.lease import renewed
from node.settings import Settings
from node.store.session import Store
from node.store.tables import Study


@contextmanager
def held(store: Store, study_uids: Sequence[str], settings: Settings) -> Iterator[None]:
    """Keep studies from being removed for the length of a block. Raises SQLAlchemyError.

    What is looked up within the block stays there.
    """

    def hold_on() -> None:
        until = utc_now() + timedelta(seconds=settings.lease_seconds)
        mine = update(Study).where(Study.study_uid.in_(study_uids))
        with store.writing() as session:
            session.execute(
                mine.values(held_until=until).execution_options(synchronize_session=False)
            )

    hold_on()
    with renewed(hold_on, settings, {"studies": list(study_uids[:10])}):
        yield
