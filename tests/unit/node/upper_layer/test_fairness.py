"""Hosts take turns, and who is alone waits for nobody."""

from __future__ import annotations

import multiprocessing
import threading
import time
from contextlib import ExitStack

from node.upper_layer.fairness import Turns, Turnstile
from node.upper_layer.limits import Admission, Notices


def test_one_host_alone_never_waits() -> None:
    """Any number of turns at once, as long as no other host is there."""
    turnstile = Turnstile(2)
    with ExitStack() as turns:
        for _ in range(50):
            turns.enter_context(turnstile.turn("a"))


def test_turns_alternate_between_hosts() -> None:
    """Behind five threads of one host, the one thread of another comes second."""
    turnstile, order = Turnstile(1), []
    with turnstile.turn("a"):
        pass

    def work(host: str) -> None:
        with turnstile.turn(host):
            order.append(host)

    with turnstile.turn("b"):
        threads = []
        for waiting, host in enumerate(["a"] * 5 + ["c"], start=1):
            threads.append(threading.Thread(target=work, args=(host,)))
            threads[-1].start()
            wait_for_waiting(turnstile, waiting)
    for each in threads:
        each.join(10)
    assert order == ["a", "c", "a", "a", "a", "a"]


def test_one_slot_is_left_for_another_host() -> None:
    """While hosts compete, one of them cannot hold every slot."""
    turnstile = Turnstile(3)
    for host in ("b", "a"):
        with turnstile.turn(host):
            pass
    with turnstile.turn("a"), turnstile.turn("a"), turnstile.turn("b"):
        pass


def test_competition_in_one_process_is_known_in_another() -> None:
    """A crowd that is alone in its process leaves the rest to a host that is in another one."""
    competing_until = multiprocessing.get_context("spawn").RawValue("d", 0.0)
    here, there = (Turns.among_processes(competing_until) for _ in range(2))
    assert not there.settling.enter("a")
    for host in ("b", "a"):
        with here.settling.turn(host):
            pass
    assert there.settling.enter("a")
    second = threading.Thread(target=there.settling.enter, args=("a",), daemon=True)
    second.start()
    wait_for_waiting(there.settling, 1)
    there.settling.leave("a")
    second.join(10)
    assert not second.is_alive()


def test_connections_of_a_host_and_in_all() -> None:
    """One host gets its number and no more; what it gives back it can have again."""
    admission = Admission(per_host=1, total=1)
    taken = sum(admission.enter("a") for _ in range(100))
    assert 1 < taken < 100
    assert admission.enter("b")
    admission.leave("a")
    assert admission.enter("a")
    assert not admission.enter("a")
    hosts = [f"host{number}" for number in range(1000)]
    assert sum(admission.enter(host) for host in hosts) < 200


def test_the_same_about_the_same_host_is_told_once() -> None:
    """A thousand refusals of one host are one line; another reason is another."""
    told: list[tuple[str, str]] = []
    notices = Notices(lambda host, reason: told.append((host, reason)))
    for _ in range(1000):
        notices.tell("a", "too many")
    notices.tell("a", "no handshake")
    notices.tell("b", "too many")
    assert told == [("a", "too many"), ("a", "no handshake"), ("b", "too many")]


def wait_for_waiting(turnstile: Turnstile, count: int) -> None:
    """Return once so many threads wait for their turn."""
    deadline = time.monotonic() + 10
    while sum(map(len, turnstile._waiting.values())) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)
