"""Measured and simulated throughput of the whole node: `make bench-scale`.

One worker is measured; what a study cost it, and what two busy cores do to each other, is all that
the simulation is told. It then says how long the same studies take with more workers, which is
measured as well.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnxruntime
from rich.console import Console

from benchmarks.machine import machine
from benchmarks.options import json_option
from benchmarks.receivers import ROOT
from benchmarks.simulation import Demand, makespan_seconds
from benchmarks.throughput import Run, measure, write_source
from tests.peers.whole import running_whole

_MODEL = ROOT / "model_repository" / "mask_rcnn_mg" / "1" / "model.onnx"
_INPUT_SHAPE = (1, 3, 1024, 1024)
_REPEATS = 3


def core_speeds() -> list[float]:
    """How fast a busy core is when 1, 2, ... are: one of the models on each, beside one alone.

    In rounds, because a machine's own speed changes; the first, which loads all, does not count.
    """
    counts = range(1, (os.cpu_count() or 1) + 1)
    rounds = [[_seconds_of(busy) for busy in counts] for _ in range(_REPEATS + 1)][1:]
    seconds = [statistics.median(column) for column in zip(*rounds, strict=True)]
    return [round(seconds[0] / each, 3) for each in seconds]


def _seconds_of(processes: int) -> float:
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(_infer, range(processes)))
        return statistics.mean(
            seconds for _ in range(_REPEATS) for seconds in pool.map(_infer, range(processes))
        )


def _infer(_number: int) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(_MODEL, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: np.zeros(_INPUT_SHAPE, np.float32)}
    began = time.perf_counter()
    session.run(None, feed)
    return time.perf_counter() - began


@click.command()
@click.option("--workers", default="1,2,4", show_default=True)
@click.option("--studies", default=8, show_default=True, help="Of each run.")
@click.option("--rounds", default=2, show_default=True)
@json_option("scale")
def scale(workers: str, studies: int, rounds: int, json_path: Path) -> None:
    """Measure and simulate. Needs a source checkout with the test extra."""
    console = Console()
    counts = [int(word) for word in workers.split(",")]
    speeds = core_speeds()
    console.print(f"speed of a busy core, by how many are: {speeds}")
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        source = write_source(folder / "study")
        with running_whole(folder, cpu_threads=1) as whole:
            whole.start("receive", "sweep", "delivery")
            for count in counts * rounds:
                runs.append(measure(whole, source, count, studies))
                console.print(f"{count} workers: {runs[-1].seconds:.1f} s for {studies} studies")
    _write(runs, speeds, json_path)
    console.print(f"written: {json_path}")


def typical(runs: Sequence[Run]) -> Demand:
    """The median of what the runs with one worker saw."""
    demands = [run.demand for run in runs if run.workers == 1]
    names = ("worker_seconds", "delivery_seconds", "other_seconds", "waiting_seconds")
    middle = {name: statistics.median(getattr(each, name) for each in demands) for name in names}
    models = {
        name: statistics.median(each.model_seconds[name] for each in demands)
        for name in demands[0].model_seconds
    }
    return replace(demands[0], model_seconds=models, **middle)


def compared(runs: Sequence[Run], speeds: Sequence[float]) -> list[dict[str, float]]:
    """By number of workers: measured and simulated studies per hour, and their ratio."""
    demand, rows = typical(runs), []
    for count in sorted({run.workers for run in runs}):
        same = [run for run in runs if run.workers == count]
        measured = statistics.median(run.studies_per_hour for run in same)
        seconds = makespan_seconds(demand, workers=count, studies=same[0].studies, speeds=speeds)
        simulated = 3600 * same[0].studies / seconds
        rows.append(
            {
                "workers": count,
                "measured": measured,
                "simulated": simulated,
                "ratio": simulated / measured,
            }
        )
    return rows


_PAGE = """# Workers, measured and simulated

Written by `{command}`.

{studies} studies of four views (1664 x 1280, three models each) are received, then brought through
the whole node by so many analysing workers on one machine with Triton (one thread for each model),
Orthanc, Redis and SQLite; {rounds} rounds, medians. The simulation (`benchmarks/simulation.py`,
SimPy) is told what a study cost with one worker, and how fast a core is while others are busy:
{speeds}.

| workers | measured, studies/h | simulated, studies/h | simulated / measured |
|---:|---:|---:|---:|
{rows}

One study costs, in seconds of one core:

| part | seconds |
|---|---:|
{demand}

## Measured on

{machine}
"""


def _write(runs: Sequence[Run], speeds: Sequence[float], path: Path) -> None:
    demand, rows = typical(runs), compared(runs, speeds)
    facts: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.scale", *sys.argv[1:]]),
        "machine": machine(),
        "speeds": list(speeds),
        "demand": asdict(demand),
        "compared": rows,
        "runs": [asdict(run) for run in runs],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(_page(facts, demand, runs), encoding="utf-8")


def _page(facts: dict[str, Any], demand: Demand, runs: Sequence[Run]) -> str:
    costs = {
        "worker: decode, preprocess, postprocess, pictures, objects": demand.worker_seconds,
        **{
            f"Triton: {name}, {demand.images} images": demand.images * seconds
            for name, seconds in demand.model_seconds.items()
        },
        "delivery worker": demand.delivery_seconds,
        "Orthanc, Redis, sweeper, receiver, meanwhile": demand.other_seconds,
        "nothing computes": demand.waiting_seconds,
    }
    return _PAGE.format(
        command=facts["command"],
        studies=runs[0].studies,
        rounds=sum(run.workers == runs[0].workers for run in runs),
        speeds=", ".join(
            f"{speed:.2f} of {count} busy" for count, speed in enumerate(facts["speeds"], start=1)
        ),
        rows="\n".join(
            f"| {row['workers']} | {row['measured']:.0f} | {row['simulated']:.0f} "
            f"| {row['ratio']:.2f} |"
            for row in facts["compared"]
        ),
        demand="\n".join(f"| {name} | {seconds:.2f} |" for name, seconds in costs.items()),
        machine="\n".join(f"- {name}: {value}" for name, value in facts["machine"].items()),
    )


if __name__ == "__main__":
    scale()
