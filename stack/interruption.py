"""SIGTERM and Ctrl-C while a stack starts, runs and stops: never half of it.

In: signals. Out: one KeyboardInterrupt, where it does no harm. What must hold: none comes between
the start of a process and the line that would end it, nor while it is being ended; and the one is
not lost. Python runs the handler wherever it stands: in a finalizer it prints the exception, and
goes on as if nothing had come.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

_AGAIN_SECONDS = 0.5


class Interruption:
    """Holds SIGINT and SIGTERM back for the length of a block, but where it says `released`."""

    def __init__(self) -> None:
        self._held, self._came = True, False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Also where a shell has SIGINT ignored, as for what it runs in the background.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def released(self) -> Iterator[None]:
        """The first signal, also one that came before, raises KeyboardInterrupt; no other does."""
        self._held = False
        try:
            if self._came:
                self._raise()
            yield
        finally:
            self._held = True
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self._came = self._came or number != signal.SIGALRM
        if self._came and not self._held:
            self._raise()

    def _raise(self) -> None:
        """Raise, unless that is under way already; and again, should nobody hear of it."""
        if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
            raise KeyboardInterrupt
