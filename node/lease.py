"""Keeping a lease while its work goes on: a thread that renews it until the work ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from node.errors import LeaseLostError
from node.job import Lease, renew
from node.logs import log
from node.settings import Settings
from node.store.session import Store

# Renewals per lease time: two may fail before the job is given away.
_RENEWALS = 3


@contextmanager
def kept(store: Store, lease: Lease, settings: Settings) -> Iterator[None]:
    """Renew `lease` in the background. Losing it is noticed by `job.hold` at the next write."""
    stop = threading.Event()
    keeper = threading.Thread(
        target=_renew_until, args=(stop, store, lease, settings), name="lease", daemon=True
    )
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()


def _renew_until(stop: threading.Event, store: Store, lease: Lease, settings: Settings) -> None:
    while not stop.wait(settings.lease_seconds / _RENEWALS):
        try:
            renew(store, lease, settings)
        except LeaseLostError:
            return
        except SQLAlchemyError as error:
            log.warning("lease not renewed", extra={"job": lease.job_id, "reason": str(error)})
