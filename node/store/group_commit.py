"""Group commit: threads that come within the same moment share one transaction.

The first thread to get the turn settles everything that waits by then, its own items and those of
others, who find theirs done. A thread that comes alone pays no hand-over to another thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    items: Sequence[Item]
    results: list[Result] | None = None
    error: BaseException | None = None


@dataclass(slots=True)
class GroupCommit(Generic[Item, Result]):
    """`settle_all` gets the items of one turn and returns their results in the same order."""

    settle_all: Callable[[list[Item]], list[Result]]
    # Taken before it is chosen who is settled: while a process waits for others, its group grows.
    among_processes: AbstractContextManager[object] = field(default_factory=nullcontext)
    # So that one turn, and what waits for it, stays short.
    largest: int = 256
    _queue: list[_Waiting[Item, Result]] = field(default_factory=list)
    _queue_lock: threading.Lock = field(default_factory=threading.Lock)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def settle(self, items: Sequence[Item]) -> list[Result]:
        """The results of these items, once they are committed. Raises what `settle_all` raises."""
        waiting: _Waiting[Item, Result] = _Waiting(items)
        with self._queue_lock:
            self._queue.append(waiting)
        with self._turn:
            if waiting.results is None and waiting.error is None:
                with self.among_processes:
                    self._settle_until_done(waiting)
        if waiting.error is not None:
            raise waiting.error
        assert waiting.results is not None
        return waiting.results

    def _settle_until_done(self, waiting: _Waiting[Item, Result]) -> None:
        while waiting.results is None and waiting.error is None:
            self._settle(self._next())

    def _next(self) -> list[_Waiting[Item, Result]]:
        with self._queue_lock:
            count, size = 0, 0
            for waiting in self._queue:
                size += len(waiting.items)
                if count and size > self.largest:
                    break
                count += 1
            chosen, self._queue = self._queue[:count], self._queue[count:]
        return chosen

    def _settle(self, chosen: list[_Waiting[Item, Result]]) -> None:
        items = [item for waiting in chosen for item in waiting.items]
        try:
            results = self.settle_all(items)
        except BaseException as error:  # noqa: BLE001  # each waiting thread raises it again
            for waiting in chosen:
                waiting.error = error
            return
        position = 0
        for waiting in chosen:
            waiting.results = results[position : position + len(waiting.items)]
            position += len(waiting.items)
