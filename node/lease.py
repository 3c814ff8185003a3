"""Keeping a lease while its work goes on: a thread that renews it until the work ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from node.errors import LeaseLostError
from node.job import Lease, renew
from node.logs import log
from node.settings import Settings
from node.store.session import Store

# Renewals per lease time: two may fail before the work is given away.
_RENEWALS = 3


@contextmanager
def kept(store: Store, lease: Lease, settings: Settings) -> Iterator[None]:
    """Renew a job's `lease` in the background. Losing it is noticed by `job.hold` at its write."""

    def renew_job() -> None:
        renew(store, lease, settings)

    with renewed(renew_job, settings, {"job": lease.job_id}):
        yield


@contextmanager
def renewed(
    renew_once: Callable[[], None], settings: Settings, facts: Mapping[str, object]
) -> Iterator[None]:
    """Call `renew_once` in the background for the length of a block, or until the lease is lost.

    `renew_once`: raises LeaseLostError, or SQLAlchemyError where the database does not answer.
    `facts`: what the log says of the work. The loss is noticed when the work writes its end.
    """
    stop = threading.Event()

    def renew_until_stopped() -> None:
        while not stop.wait(settings.lease_seconds / _RENEWALS):
            try:
                renew_once()
            except LeaseLostError:
                return
            except SQLAlchemyError as error:
                log.warning("lease not renewed", extra={**facts, "reason": type(error).__name__})

    keeper = threading.Thread(target=renew_until_stopped, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()
