"""The simulated node, where the answer can be worked out by hand."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cores import Cores
from benchmarks.simulation import Demand, makespan_seconds

MODELS_ONLY = Demand(4, 0.0, {"a": 0.25}, 0.0, 0.0, 0.0)


def _ends(speeds: list[float], seconds: list[float]) -> list[float]:
    """When tasks that begin together are done."""
    env = simpy.Environment()
    cores = Cores(env, speeds)
    ends = [0.0] * len(seconds)

    def task(number: int) -> Generator[simpy.Event, None, None]:
        yield cores.compute(seconds[number])
        ends[number] = env.now

    for number in range(len(seconds)):
        env.process(task(number))
    env.run()
    return ends


def test_tasks_on_cores_of_their_own_do_not_meet() -> None:
    """Two tasks on two full cores take what each takes alone."""
    assert _ends([1.0, 1.0], [1.0, 3.0]) == pytest.approx([1.0, 3.0])


def test_more_tasks_than_cores_share_them() -> None:
    """Three equal tasks on one core take three times as long."""
    assert _ends([1.0], [1.0, 1.0, 1.0]) == pytest.approx([3.0, 3.0, 3.0])


def test_busy_cores_slow_each_other() -> None:
    """At half speed each, two tasks take as long as one after the other."""
    assert _ends([1.0, 0.5], [1.0, 1.0]) == pytest.approx([2.0, 2.0])


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=8), st.integers(1, 4))
def test_no_work_is_lost_or_made(seconds: list[float], count: int) -> None:
    """The last end lies between the bounds that the sum and the longest task set."""
    last = max(_ends([1.0] * count, seconds))
    assert max(max(seconds), sum(seconds) / count) <= last * (1 + 1e-6)
    assert last <= sum(seconds) * (1 + 1e-6)


def test_one_worker_takes_the_sum_of_what_a_study_costs() -> None:
    """Alone on enough cores, deliveries overlap with the next analysis but for the last."""
    demand = Demand(4, 2.0, {"a": 0.25, "b": 0.5}, 0.3, 0.1, 0.6)
    seconds = makespan_seconds(demand, workers=1, studies=3, speeds=[1.0] * 4)
    assert seconds == pytest.approx(3 * (2.0 + 4 * 0.75 + 0.6) + 0.4)


@pytest.mark.parametrize(("tritons", "expected"), [(1, 8.0), (2, 4.0)])
def test_one_instance_of_a_model_is_a_queue(tritons: int, expected: float) -> None:
    """Workers that do nothing but ask one model are as fast as its replicas."""
    seconds = makespan_seconds(MODELS_ONLY, workers=2, studies=8, speeds=[1.0] * 8, tritons=tritons)
    assert seconds == pytest.approx(expected)
