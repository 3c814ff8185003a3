"""How often a password may be tried."""

from __future__ import annotations

import pytest

from node.web.login import throttle
from node.web.login.throttle import HOST, NAME, NAME_FROM_HOST, Throttle, neighbourhood


class Clock:
    """A clock to turn."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands."""
    return Clock()


def test_five_tries_then_one_a_minute(clock: Clock) -> None:
    """The wait is told in whole seconds, and one more try is open after it."""
    each = Throttle(clock)
    assert [each.wait_seconds("anna", "10.0.0.1") for _ in range(5)] == [0] * 5
    assert each.wait_seconds("anna", "10.0.0.1") == NAME_FROM_HOST.seconds
    clock.now += 59.5
    assert each.wait_seconds("anna", "10.0.0.1") == 1
    clock.now += 0.5
    assert each.wait_seconds("anna", "10.0.0.1") == 0
    assert each.wait_seconds("anna", "10.0.0.1") == 60


def test_many_names_from_one_host(clock: Clock) -> None:
    """Trying one password on every name fills the host's bucket; other hosts go on."""
    each = Throttle(clock)
    tried = [each.wait_seconds(f"name{number}", "10.0.0.1") for number in range(HOST.tries + 1)]
    assert tried[:-1] == [0] * HOST.tries
    assert tried[-1] == HOST.seconds
    assert each.wait_seconds("name1", "10.0.0.2") == 0


def test_one_name_from_many_hosts(clock: Clock) -> None:
    """A botnet is slowed down; the owner's own computer is not locked out by it."""
    each = Throttle(clock)
    assert each.wait_seconds("anna", "10.0.0.1") == 0
    each.succeeded("anna", "10.0.0.1")
    tried = [each.wait_seconds("anna", f"10.1.0.{number}") for number in range(NAME.tries + 1)]
    assert tried[:-1] == [0] * NAME.tries
    assert tried[-1] == NAME.seconds
    assert each.wait_seconds("anna", "10.0.0.1") == 0
    assert each.wait_seconds("olga", "10.1.0.99") == 0


def test_success_costs_nothing(clock: Clock) -> None:
    """Logging in a hundred times, with a slip now and then, is never held up."""
    each = Throttle(clock)
    for number in range(100):
        if number % 25 == 0:
            assert each.wait_seconds("anna", "10.0.0.1") == 0
        assert each.wait_seconds("anna", "10.0.0.1") == 0
        each.succeeded("anna", "10.0.0.1")


def test_refused_tries_do_not_lengthen_the_wait(clock: Clock) -> None:
    """Who hammers waits no longer than who is patient, and nobody is locked out for good."""
    each = Throttle(clock)
    for _ in range(1000):
        each.wait_seconds("anna", "10.0.0.1")
    clock.now += 60
    assert each.wait_seconds("anna", "10.0.0.1") == 0


def test_ipv6_counts_by_network() -> None:
    """One customer has 2^64 addresses."""
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff:1") == "2001:db8::/64"
    assert neighbourhood("10.0.0.1") == "10.0.0.1"
    assert neighbourhood("unix" * 100) == ("unix" * 100)[:64]


def test_memory_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many names and hosts are made up."""
    monkeypatch.setattr(throttle, "_BUCKETS", 100)
    each = Throttle(clock)
    for number in range(1000):
        each.wait_seconds(f"name{number}", f"10.{number // 256}.{number % 256}.1")
        each.succeeded(f"name{number}", f"10.{number // 256}.{number % 256}.1")
    kinds = (each._pairs, each._hosts, each._names)
    assert max(len(kind._levels) for kind in kinds) <= 100
    assert len(each._known) <= 100
