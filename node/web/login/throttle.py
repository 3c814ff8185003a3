"""How often a password may be tried: by name from one host, by host, and by name from everywhere.

Each is a bucket that a wrong password fills by one and time empties; a full one refuses before any
password is looked at. What must hold: memory is bounded whoever asks, attempts at the same moment
count before they are judged, and somebody who guesses at a name from elsewhere does not lock out
its owner's own computer.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network


@dataclass(frozen=True, slots=True)
class Limit:
    """`tries` at once, then one for each `seconds`."""

    tries: int
    seconds: float


# A person mistypes a few times; a computer that goes on gets one try a minute.
NAME_FROM_HOST = Limit(5, 60.0)
# A ward's computers may share one address.
HOST = Limit(20, 30.0)
# Guessing from many hosts: 2,880 a day, of 10^18 and more that a good password could be.
NAME = Limit(30, 30.0)
# Buckets of one kind, at about 200 bytes each.
_BUCKETS = 10_000
# A name that logged in from a host lately is not held up by what others do to the name.
_KNOWN_SECONDS = 86_400.0


class Throttle:
    """Attempts of one process. Used by the event loop alone."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._pairs = _Buckets(NAME_FROM_HOST, now)
        self._hosts = _Buckets(HOST, now)
        self._names = _Buckets(NAME, now)
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()

    def wait_seconds(self, name: str, host: str) -> int:
        """Seconds until this may be tried; 0: now, and the attempt is counted as a failed one."""
        buckets = self._buckets(name, neighbourhood(host))
        waits = [each.wait_seconds(key) for each, key in buckets]
        if max(waits) > 0:
            return math.ceil(max(waits))
        for each, key in buckets:
            each.add(key)
        return 0

    def succeeded(self, name: str, host: str) -> None:
        """The attempt that was counted was the right one."""
        near = neighbourhood(host)
        for each, key in self._buckets(name, near):
            each.take(key)
        self._pairs.clear((name, near))
        self._known.pop((name, near), None)
        self._known[name, near] = self._now()
        if len(self._known) > _BUCKETS:
            self._known.popitem(last=False)

    def _buckets(self, name: str, near: str) -> list[tuple[_Buckets, tuple[str, str]]]:
        always = [(self._pairs, (name, near)), (self._hosts, ("", near))]
        since = self._known.get((name, near))
        if since is not None and self._now() - since < _KNOWN_SECONDS:
            return always
        return [*always, (self._names, (name, ""))]


class _Buckets:
    """Leaky buckets of one kind by key."""

    def __init__(self, limit: Limit, now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self._levels: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def wait_seconds(self, key: tuple[str, str]) -> float:
        """How long until one more fits."""
        over = self._level(key) + 1 - self._limit.tries
        return max(0.0, over * self._limit.seconds)

    def add(self, key: tuple[str, str]) -> None:
        """One more."""
        self._set(key, self._level(key) + 1)

    def take(self, key: tuple[str, str]) -> None:
        """One less."""
        self._set(key, max(0.0, self._level(key) - 1))

    def clear(self, key: tuple[str, str]) -> None:
        """None."""
        self._levels.pop(key, None)

    def _level(self, key: tuple[str, str]) -> float:
        level, at = self._levels.get(key, (0.0, 0.0))
        return max(0.0, level - (self._now() - at) / self._limit.seconds)

    def _set(self, key: tuple[str, str], level: float) -> None:
        self._levels.pop(key, None)
        self._levels[key] = (level, self._now())
        if len(self._levels) > _BUCKETS:
            # The one that was touched longest ago is the emptiest, or nearly so.
            self._levels.popitem(last=False)


def neighbourhood(host: str) -> str:
    """The address as it is counted: of IPv6 the network of 64 bits that one customer has."""
    try:
        address = ip_address(host)
    except ValueError:
        return host[:64]
    if address.version == 4:
        return str(address)
    return str(ip_network((address, 64), strict=False))
