"""Turns between hosts: forty associations of one host leave another host its fair part.

In: threads that have bytes to work on. Out: the same threads, a few at a time, hosts in turn. A
turn is taken for work only, never while a thread waits for the network, so that no peer can hold
one up. As long as one host sends alone there are no turns to wait for.

That hosts compete is known to all processes of a receiver: else a crowd that one process serves
would take the disk and the processors from a host that competes with it in another.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import Protocol

# While hosts compete, so many threads work at once on bytes that came. With more, each return from
# a system call queues for the interpreter among all, and whoever has most threads gets most.
_WORK_SLOTS = 2
# And so many make objects durable: they wait for the disk, mostly, and share commits.
_SETTLE_SLOTS = 2
# Hosts compete as long as their turns are not further apart than this.
_MEMORY_SECONDS = 1.0


class Moment(Protocol):
    """A time on the clock of time.monotonic, which is the same for all processes of a machine."""

    value: float


@dataclass(slots=True)
class _OwnMoment:
    """One that no other process knows."""

    value: float = 0.0


class Turn:
    """One turn, as a context; a generator's would cost more than most fragments."""

    __slots__ = ("_has_slot", "_host", "_turnstile")

    def __init__(self, turnstile: Turnstile, host: str) -> None:
        self._turnstile = turnstile
        self._host = host
        self._has_slot = False

    def __enter__(self) -> None:
        self._has_slot = self._turnstile.enter(self._host)

    def __exit__(self, *_error: object) -> None:
        if self._has_slot:
            self._turnstile.leave(self._host)


class Turnstile:
    """A few slots, for which hosts take turns.

    `competing_until`: what turnstiles of several processes share.
    """

    def __init__(self, slots: int, competing_until: Moment | None = None) -> None:
        self._lock = threading.Lock()
        self._free = slots
        # One slot is always left for whoever comes next from another host.
        self._most_per_host = max(1, slots - 1)
        self._working: Counter[str] = Counter()
        self._last_host = ""
        self._competing_until = _OwnMoment() if competing_until is None else competing_until
        # The host whose turn is next stands first; its threads, in the order they came.
        self._waiting: OrderedDict[str, deque[threading.Lock]] = OrderedDict()

    def turn(self, host: str) -> Turn:
        """Work in the block; it begins when it is this host's turn."""
        return Turn(self, host)

    def enter(self, host: str) -> bool:
        """Wait for a turn; whether there is a slot to `leave`."""
        alone = host == self._last_host and not self._waiting
        if alone and time.monotonic() >= self._competing_until.value:
            # The way of every fragment of a host that sends alone: without the lock.
            return False
        with self._lock:
            if not self._competing(host):
                return False
            if self._free and self._working[host] < self._most_per_host:
                self._take(host)
                return True
            gate = threading.Lock()
            gate.acquire()
            self._waiting.setdefault(host, deque()).append(gate)
        gate.acquire()
        return True

    def leave(self, host: str) -> None:
        """Give the slot to whoever is next."""
        with self._lock:
            self._free += 1
            self._working[host] -= 1
            if not self._working[host]:
                del self._working[host]
            gate = self._next()
        if gate is not None:
            gate.release()

    def _next(self) -> threading.Lock | None:
        for host in self._waiting:
            if self._working[host] < self._most_per_host:
                break
        else:
            return None
        gates = self._waiting[host]
        gate = gates.popleft()
        if gates:
            self._waiting.move_to_end(host)
        else:
            del self._waiting[host]
        self._take(host)
        return gate

    def _take(self, host: str) -> None:
        self._free -= 1
        self._working[host] += 1

    def _competing(self, host: str) -> bool:
        now = time.monotonic()
        if host != self._last_host:
            # The first host ever competes with nobody.
            if self._last_host:
                self._competing_until.value = now + _MEMORY_SECONDS
            self._last_host = host
        return now < self._competing_until.value or bool(self._waiting)


@dataclass(frozen=True, slots=True)
class Turns:
    """What hosts take turns for; one for all associations of a process."""

    work: Turnstile = field(default_factory=lambda: Turnstile(_WORK_SLOTS))
    settling: Turnstile = field(default_factory=lambda: Turnstile(_SETTLE_SLOTS))

    @classmethod
    def among_processes(cls, competing_until: Moment) -> Turns:
        """Turns of one process, which knows when hosts compete in another."""
        return cls(
            Turnstile(_WORK_SLOTS, competing_until), Turnstile(_SETTLE_SLOTS, competing_until)
        )
