"""Work that many ask for at once: how often it is done, and how old what they get may be."""

from __future__ import annotations

import asyncio
import time

from node.web.coalesced import Coalesced


def test_many_who_ask_cost_two_runs_at_most() -> None:
    """Those who come while it runs share the next run: this one may have read before they asked."""
    runs = []

    def work() -> int:
        time.sleep(0.05)
        runs.append(len(runs))
        return len(runs)

    async def ask() -> list[int]:
        shared = Coalesced(work)
        found = await asyncio.gather(*(shared() for _ in range(50)))
        return [*found, await shared()]

    found = asyncio.run(ask())
    assert found[:-1] == [1] + [2] * 49
    assert found[-1] == len(runs) == 3


def test_a_failure_is_not_kept() -> None:
    """The next one who asks has the work done again."""
    outcomes = [ValueError("away"), None]

    def work() -> str:
        failure = outcomes.pop(0)
        if failure is not None:
            raise failure
        return "here"

    async def ask() -> list[object]:
        shared = Coalesced(work)
        return list(await asyncio.gather(shared(), shared(), return_exceptions=True))

    failed, found = asyncio.run(ask())
    assert isinstance(failed, ValueError)
    assert found == "here"
