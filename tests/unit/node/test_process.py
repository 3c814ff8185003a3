"""A process ends soon after its signal, whichever thread the kernel gave that to."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from node.process import stop_on_signals, stopped


@pytest.mark.parametrize("to_main", [True, False])
def test_a_signal_ends_the_wait(to_main: bool) -> None:
    """Python's own wait would last its whole time when another thread is interrupted."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stop = stop_on_signals()
    idle = threading.Event()
    other = threading.Thread(target=idle.wait, daemon=True)
    other.start()
    target = threading.main_thread() if to_main else other
    assert target.ident is not None
    timer = threading.Timer(0.1, signal.pthread_kill, (target.ident, signal.SIGTERM))
    try:
        timer.start()
        begun = time.monotonic()
        assert stopped(stop, 20)
        assert time.monotonic() - begun < 5
    finally:
        idle.set()
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


def test_without_a_signal_it_lasts() -> None:
    """The time asked for, and no stop."""
    begun = time.monotonic()
    assert not stopped(threading.Event(), 0.6)
    assert time.monotonic() - begun >= 0.6
