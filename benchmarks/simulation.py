"""A node with any number of workers, simulated from the service times of one.

In: what one study costs each part, measured with one worker. Out: how long a number of studies that
wait together take. Workers take studies from one queue; each image goes through every model, and a
model of Triton answers one request at a time; results are delivered by one process while the next
study is analysed. All of it computes on the same cores (`benchmarks.cores`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import simpy

from benchmarks.cores import Cores


@dataclass(frozen=True, slots=True)
class Demand:
    """What one study asks for. All in seconds of a core, but for the waiting.

    `model_seconds`: of one request, by model. `waiting_seconds`: when nothing computes for the
    study: messages, synchronisation to disk, answers on their way.
    """

    images: int
    worker_seconds: float
    model_seconds: Mapping[str, float]
    delivery_seconds: float
    other_seconds: float
    waiting_seconds: float

    @property
    def core_seconds(self) -> float:
        """All that a study costs."""
        return (
            self.worker_seconds
            + self.images * sum(self.model_seconds.values())
            + self.delivery_seconds
            + self.other_seconds
        )


def makespan_seconds(
    demand: Demand, *, workers: int, studies: int, speeds: Sequence[float], tritons: int = 1
) -> float:
    """From the first study's start to the last one's delivery.

    `speeds`: see `Cores`. `tritons`: replicas, each with one instance of every model.
    """
    env = simpy.Environment()
    node = _Node(env, demand, Cores(env, speeds), tritons, studies)
    for _ in range(workers):
        env.process(node.worker())
    env.run(until=env.process(node.delivered(studies)))
    return float(env.now)


class _Node:
    def __init__(
        self,
        env: simpy.Environment,
        demand: Demand,
        cores: Cores,
        tritons: int,
        studies: int,
    ) -> None:
        self._env, self._demand, self._cores = env, demand, cores
        self._waiting = studies
        self._models = {
            name: simpy.Resource(env, capacity=tritons) for name in demand.model_seconds
        }
        self._results = simpy.Store(env)

    def worker(self) -> Generator[simpy.Event, None, None]:
        """Analyse one study after the other until none waits."""
        while self._waiting:
            self._waiting -= 1
            for _ in range(self._demand.images):
                yield from self._image()
            self._results.put(None)

    def delivered(self, studies: int) -> Generator[simpy.Event, None, None]:
        """The process that delivers, and what the other parts compute for a study."""
        for _ in range(studies):
            yield self._results.get()
            yield self._cores.compute(self._demand.delivery_seconds + self._demand.other_seconds)

    def _image(self) -> Generator[simpy.Event, None, None]:
        demand = self._demand
        own_seconds = demand.worker_seconds / demand.images / (len(self._models) + 1)
        yield self._env.timeout(demand.waiting_seconds / demand.images)
        yield self._cores.compute(own_seconds)
        for name, model in self._models.items():
            with model.request() as turn:
                yield turn
                yield self._cores.compute(demand.model_seconds[name])
            yield self._cores.compute(own_seconds)
