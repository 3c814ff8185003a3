"""Work that many ask for at the same moment, done once for all of them.

What needs no login must not cost a thread for each who asks: the threads are those that pages and
logins wait for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

Found = TypeVar("Found")


class Coalesced(Generic[Found]):
    """`work` in a thread, one run at a time; it answers everybody who came before it began."""

    def __init__(self, work: Callable[[], Found]) -> None:
        self._work = work
        self._turn = asyncio.Lock()
        self._last: tuple[float, Found] | None = None

    async def __call__(self) -> Found:
        """What the work finds, no older than the question. Raises what it raises."""
        asked = time.monotonic()
        async with self._turn:
            if self._last is None or self._last[0] < asked:
                began = time.monotonic()
                self._last = (began, await run_in_threadpool(self._work))
            return self._last[1]
