"""Whether an instance can be taken now: disk, backlog, and what its sender may store in an hour.

In: a claim, before its data set is read. Out: nothing, or OutOfResourcesError, which the sender
sees as 0xA700 and which means: send it again later.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from node.errors import OutOfResourcesError
from node.job import QUEUED
from node.settings import Settings
from node.store.files import Files
from node.store.session import Store
from node.store.tables import Job

_HOUR_SECONDS = 3600.0
# A source's bytes are summed up in steps of this length; the hour slides by them.
_STEP_SECONDS = 60.0
# The backlog is counted this often, not for each instance,
_COUNT_SECONDS = 5.0
# and free disk looked at so often: at 1 GB/s it is known to 50 MB.
_LOOK_SECONDS = 0.05


class Admission:
    """One for all associations of a process; quotas are per process."""

    def __init__(self, settings: Settings, store: Store, files: Files) -> None:
        self._settings = settings
        self._store = store
        self._files = files
        self._quota = HourlyQuota(settings.source_quota_bytes_per_hour)
        self._waiting = 0
        self._counted_at = -_COUNT_SECONDS
        self._free_bytes = 0
        self._looked_at = -_LOOK_SECONDS

    def check(self, calling_ae_title: str) -> None:
        """Raises OutOfResourcesError."""
        self._look_at_disk()
        if self._free_bytes < self._settings.min_free_bytes:
            free_mib = self._free_bytes >> 20
            raise OutOfResourcesError(f"disk: {free_mib} MiB free; send it again later")
        if self._settings.max_waiting_studies and self._backlog_is_full():
            raise OutOfResourcesError("too many studies wait for analysis; send it again later")
        if self._quota.is_used_up(calling_ae_title):
            raise OutOfResourcesError("this AE title has used up its hourly quota")

    def count(self, calling_ae_title: str, size_bytes: int) -> None:
        """Put a stored instance on its sender's account."""
        self._quota.add(calling_ae_title, size_bytes)

    def _look_at_disk(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            # In this order: another thread must not see the time without the figure.
            try:
                self._free_bytes = self._files.free_bytes()
            except OSError as error:  # a mount that is lost
                raise OutOfResourcesError(f"disk: {error.strerror}; send it again later") from error
            self._looked_at = now

    def _backlog_is_full(self) -> bool:
        now = time.monotonic()
        if now - self._counted_at >= _COUNT_SECONDS:
            self._counted_at = now
            try:
                with self._store.reading() as session:
                    counting = select(func.count()).where(Job.state == QUEUED)
                    self._waiting = session.scalar(counting) or 0
            except SQLAlchemyError as error:
                raise OutOfResourcesError(
                    "the database does not answer; send it again later"
                ) from error
        return self._waiting > self._settings.max_waiting_studies


class HourlyQuota:
    """Bytes by source over the last hour."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._steps: dict[str, deque[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def add(self, source: str, size_bytes: int) -> None:
        """Count bytes."""
        if not self._limit_bytes:
            return
        now = time.monotonic()
        with self._lock:
            steps = self._steps.setdefault(source, deque())
            if steps and now - steps[-1][0] < _STEP_SECONDS:
                begun, so_far = steps.pop()
                steps.append((begun, so_far + size_bytes))
            else:
                steps.append((now, size_bytes))

    def is_used_up(self, source: str) -> bool:
        """Whether the source has stored its hourly bytes."""
        if not self._limit_bytes:
            return False
        oldest = time.monotonic() - _HOUR_SECONDS
        with self._lock:
            steps = self._steps.get(source, deque())
            while steps and steps[0][0] < oldest:
                steps.popleft()
            return sum(size_bytes for _, size_bytes in steps) >= self._limit_bytes
