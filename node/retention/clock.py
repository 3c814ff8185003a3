"""A clock for what cannot be undone: one that is set wrong is not believed for a day.

In: the time of day, the time since the host was started, the last line of any timeline. Out: the
time of day, or None while it is in doubt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select

from node.job import utc_now
from node.logs import log
from node.store.session import Store
from node.store.tables import Event

# A clock that leaps ahead by more than this makes studies old that are not. Less, a daylight saving
# or a quiet night, is little beside the days that are kept.
_LEAP = timedelta(days=1)
# So long it is not believed: people notice a wrong date, or NTP does.
_DOUBT_SECONDS = 86400.0


def uptime_seconds() -> float:
    """Since the host was started, its sleep included; nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """The time of day, but for a day after it has leapt ahead.

    A clock that a typing error or a bad time server sets a year ahead would have every study
    removed within minutes. It is compared with the time since the host was started, and when it is
    first asked with the last line of any timeline.
    """

    def __init__(
        self,
        store: Store,
        time_of_day: Callable[[], datetime] = utc_now,
        uptime: Callable[[], float] = uptime_seconds,
    ) -> None:
        self._store = store
        self._time_of_day, self._uptime = time_of_day, uptime
        # When the host was started, by the time of day that is believed.
        self._started_at: datetime | None = None
        # In uptime: from when on the present leap is believed.
        self._believed_at: float | None = None

    def now(self) -> datetime | None:
        """The time of day; None while it is in doubt. Raises SQLAlchemyError."""
        now, uptime = self._time_of_day(), self._uptime()
        started_at = now - timedelta(seconds=uptime)
        if self._started_at is None:
            self._started_at = self._last_known(now) - timedelta(seconds=uptime)
        ahead = started_at - self._started_at
        if ahead > _LEAP:
            if self._believed_at is None:
                self._believed_at = uptime + _DOUBT_SECONDS
                days = round(ahead / timedelta(days=1), 1)
                text = "the clock leapt ahead, or nothing came for long; no study goes for a day"
                log.warning(text, extra={"days": days})
            if uptime < self._believed_at:
                return None
        self._started_at, self._believed_at = started_at, None
        return now

    def _last_known(self, now: datetime) -> datetime:
        with self._store.reading() as session:
            last = session.scalar(select(Event.at).order_by(Event.id.desc()).limit(1))
        return min(now, last or now)
