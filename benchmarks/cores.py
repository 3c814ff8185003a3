"""Cores that everything on a machine shares, for SimPy: processor sharing.

What computes at one time gets equal parts of the cores, never more than one core each. Two cores
of a virtual machine are often two threads of one: `speeds` says how fast each runs when that many
are busy.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import simpy

# Work left that is rounding, in seconds of a core.
_NOTHING_SECONDS = 1e-9


@dataclass(slots=True)
class _Task:
    left_seconds: float
    done: simpy.Event


class Cores:
    """`speeds`: of each busy core, relative to one busy alone; as many as there are cores."""

    def __init__(self, env: simpy.Environment, speeds: Sequence[float]) -> None:
        self._env, self._speeds = env, tuple(speeds)
        self._tasks: list[_Task] = []
        self._since = env.now
        self._changed = env.event()
        env.process(self._run())

    def compute(self, seconds: float) -> simpy.Event:
        """An event that happens when so many seconds of a core busy alone are worked off."""
        task = _Task(seconds, self._env.event())
        self._work_off()
        self._tasks.append(task)
        self._wake()
        return task.done

    def _rate(self) -> float:
        """Seconds of work of each task in a second."""
        busy = min(len(self._tasks), len(self._speeds))
        return self._speeds[busy - 1] * busy / len(self._tasks)

    def _run(self) -> Generator[simpy.Event, None, None]:
        while True:
            self._changed = self._env.event()
            if not self._tasks:
                yield self._changed
                continue
            first = min(task.left_seconds for task in self._tasks)
            yield self._env.timeout(max(first, 0.0) / self._rate()) | self._changed
            self._work_off()
            for task in [each for each in self._tasks if each.left_seconds <= _NOTHING_SECONDS]:
                self._tasks.remove(task)
                task.done.succeed()

    def _work_off(self) -> None:
        passed, self._since = self._env.now - self._since, self._env.now
        if self._tasks:
            rate = self._rate()
            for task in self._tasks:
                task.left_seconds -= passed * rate

    def _wake(self) -> None:
        if not self._changed.triggered:
            self._changed.succeed()
