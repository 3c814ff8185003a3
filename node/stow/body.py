"""The body of one request: from the event loop, which must not wait, to the threads that may.

In: the request's chunks. Out: the same bytes, in order, to an intake. While one batch of chunks is
parsed and written, the next is gathered; when that is full nothing more is read, so the sender
waits for the disk and not the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from fastapi import Request

from node.errors import LargeRequestError, SlowRequestError

# One batch; two of them are in memory at most, for each request.
_BATCH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a body may cost; `request_bytes` 0 is no limit."""

    silence_seconds: float
    request_seconds: float
    request_bytes: int


async def chunks_of(request: Request, limits: Limits) -> AsyncGenerator[bytes]:
    """The body as it arrives.

    Raises ClientDisconnect, LargeRequestError, SlowRequestError.
    """
    loop = asyncio.get_running_loop()
    stream, received_bytes = request.stream(), 0
    end = loop.time() + limits.request_seconds
    while True:
        try:
            async with asyncio.timeout_at(min(end, loop.time() + limits.silence_seconds)):
                chunk = await anext(stream, b"")
        except TimeoutError as error:
            raise SlowRequestError("the body did not come in time") from error
        if not chunk:
            return
        received_bytes += len(chunk)
        if limits.request_bytes and received_bytes > limits.request_bytes:
            raise LargeRequestError(f"larger than {limits.request_bytes} bytes")
        yield chunk


class HandOver:
    """Gives chunks to `take` in threads, one batch after the other."""

    def __init__(self, take: Callable[[Sequence[bytes]], None], threads: Executor) -> None:
        self._take = take
        self._threads = threads
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._running: asyncio.Future[None] | None = None

    async def push(self, chunk: bytes) -> None:
        """Take a chunk; waits when too much is on its way."""
        self._gathered.append(chunk)
        self._gathered_bytes += len(chunk)
        idle = self._running is None or self._running.done()
        if idle or self._gathered_bytes >= _BATCH_BYTES:
            await self._start()

    async def flush(self) -> None:
        """Everything pushed has been taken when this returns."""
        if self._gathered:
            await self._start()
        if self._running is not None:
            await self._running

    async def _start(self) -> None:
        if self._running is not None:
            await self._running
        batch, self._gathered, self._gathered_bytes = self._gathered, [], 0
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._threads, self._take, batch)
