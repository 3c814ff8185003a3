"""When a signal becomes a KeyboardInterrupt, and when it waits."""

from __future__ import annotations

import signal
import time

import pytest

from stack.interruption import Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_it_is_released(number: signal.Signals) -> None:
    """What came while a process was being started is raised where that process can be ended."""
    done = []
    with Interruption() as interruption:
        signal.raise_signal(number)
        done.append("started")
        with pytest.raises(KeyboardInterrupt), interruption.released():
            done.append("never")
    assert done == ["started"]


def test_a_released_signal_is_raised_at_once_and_once() -> None:
    """A second Ctrl-C, while what runs is being ended, changes nothing."""
    with Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt), interruption.released():
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)


def _tidied(done: list[str]) -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.raise_signal(signal.SIGINT)
        done.append("tidy")


def test_a_second_signal_does_not_disturb_what_tidies_up() -> None:
    """Where the first one is on its way out, another is none."""
    done: list[str] = []
    with (
        Interruption() as interruption,
        pytest.raises(KeyboardInterrupt),
        interruption.released(),
    ):
        _tidied(done)
    assert done == ["tidy"]


class _Finalized:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def _finalized_and_at_work() -> None:
    _Finalized()
    time.sleep(30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_comes_in_a_finalizer_is_not_lost() -> None:
    """Python only prints what is raised there: the stack ran on, and no other signal ended it."""
    began = time.monotonic()
    with (
        Interruption() as interruption,
        pytest.raises(KeyboardInterrupt),
        interruption.released(),
    ):
        _finalized_and_at_work()
    assert time.monotonic() - began < 20


def test_what_was_there_before_is_there_again() -> None:
    """Handlers of whoever asked."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interruption():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
