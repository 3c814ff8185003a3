"""Studies through the whole node with some number of workers, and what they cost each part.

All studies are received before the first is begun (the workers are stopped meanwhile), so that the
time from there to the last delivery is the workers' own. Costs are processor seconds of process
trees; those of single models are what Triton's own metrics say, which is the time that one request
computes, its only thread being alone on its core while there is one worker.
"""

from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import psutil
import pydicom
from pydicom.uid import generate_uid
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from benchmarks.simulation import Demand
from benchmarks.usage import cpu_seconds
from node.job import DONE, FAILED, QUEUED, last_job
from node.settings import load_settings
from node.store.session import Store, open_store
from node.store.tables import Process
from phantoms.study import StudyOptions, write_study
from tests.peers.node import running_role
from tests.peers.whole import Whole

_SEED = 4200
_PATIENCE_SECONDS = 1800.0
_POLL_SECONDS = 0.5
_COMPUTED = re.compile(
    r'^nv_inference_compute_infer_duration_us\{model="(\w+)",.*\} (\d+)', re.MULTILINE
)
_REQUESTS = re.compile(r'^nv_inference_request_success\{model="(\w+)",.*\} (\d+)', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. `demand`: of one study, as this run saw it."""

    workers: int
    studies: int
    seconds: float
    demand: Demand

    @property
    def studies_per_hour(self) -> float:
        """What so many workers get through."""
        return 3600 * self.studies / self.seconds


@dataclass(frozen=True, slots=True)
class _Spent:
    """Processor seconds by part, and Triton's own seconds and requests by model, so far."""

    parts: Mapping[str, float]
    model_seconds: Mapping[str, float]
    requests: Mapping[str, int]


def measure(whole: Whole, source: Path, workers: int, studies: int) -> Run:
    """Bring `studies` copies of the study in `source` through `workers` workers."""
    store = open_store(load_settings(state_dir=whole.settings["state_dir"]))
    try:
        with _workers(whole, workers) as processes:
            _await_beats(store, processes)
            # Every model has run, and a worker that is new has a study to begin with.
            _ends(store, [_sent(whole, source) for _ in range(workers)])
            with _stopped(store, processes):
                uids = [_sent(whole, source) for _ in range(studies)]
                _until(lambda: all(_state(store, uid)[0] == QUEUED for uid in uids))
                before = _spent(whole, processes)
            began = time.time()
            seconds = max(_ends(store, uids)) - began
            after = _spent(whole, processes)
    finally:
        store.close()
    images = len(list(source.glob("*.dcm")))
    return Run(workers, studies, seconds, _demand(before, after, studies, seconds, images))


def write_source(folder: Path) -> Path:
    """The four-view phantom whose copies are sent."""
    write_study(folder, _SEED, StudyOptions(processing=False), lambda: None)
    return folder


@contextmanager
def _workers(whole: Whole, count: int) -> Iterator[list[psutil.Process]]:
    """So many analysing processes beside the one that delivers."""
    with ExitStack() as stack:
        yield [
            psutil.Process(
                stack.enter_context(
                    running_role(
                        whole.settings,
                        *("worker", "--queue", "leased.analysis"),
                        log=whole.folder / f"analysis-{count}-{number}.log",
                    )
                ).pid
            )
            for number in range(count)
        ]


def _await_beats(store: Store, processes: Sequence[psutil.Process]) -> None:
    """A worker beats once it takes messages."""
    names = {f"worker@{socket.gethostname()}:{process.pid}" for process in processes}

    def beating() -> bool:
        with store.reading() as session:
            return names <= set(session.scalars(select(Process.name)))

    _until(beating)


def _until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError("no progress; see the logs of the processes")
        time.sleep(_POLL_SECONDS)


@contextmanager
def _stopped(store: Store, processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Stop workers, but never in a transaction: it would keep the receiver from its own."""
    while True:
        for process in _family(processes):
            process.suspend()
        if _is_writable(store):
            break
        for process in _family(processes):
            process.resume()
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        for process in _family(processes):
            process.resume()


def _is_writable(store: Store) -> bool:
    try:
        with store.writing() as session:
            session.execute(update(Process).values(role=Process.role))
    except OperationalError:
        return False
    return True


def _family(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    return [each for process in processes for each in (process, *process.children(recursive=True))]


def _sent(whole: Whole, source: Path) -> str:
    """Send a copy of a study under UIDs of its own."""
    folder = whole.folder / "copy"
    study_uid = generate_uid()
    series_uids: dict[str, str] = {}
    folder.mkdir()
    for path in sorted(source.glob("*.dcm")):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID = study_uid
        old_series = dataset.SeriesInstanceUID
        dataset.SeriesInstanceUID = series_uids.setdefault(old_series, generate_uid())
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.save_as(folder / path.name)
    whole.send(folder)
    shutil.rmtree(folder)
    return str(study_uid)


def _state(store: Store, study_uid: str) -> tuple[str | None, datetime | None]:
    """State of the study's job, and when its last result was confirmed."""
    with store.reading() as session:
        job = last_job(session, study_uid)
        return (None, None) if job is None else (job.state, job.delivered_at)


def _ends(store: Store, uids: Sequence[str]) -> list[float]:
    """When the last results were confirmed, seconds since the epoch. Raises RuntimeError."""
    _until(lambda: all(_state(store, uid)[0] in (DONE, FAILED) for uid in uids))
    found = [_state(store, uid) for uid in uids]
    ends = [at.timestamp() for state, at in found if state == DONE and at is not None]
    if len(ends) != len(uids):
        raise RuntimeError("a study failed; see the logs of the workers")
    return ends


def _spent(whole: Whole, workers: Sequence[psutil.Process]) -> _Spent:
    others = (whole.orthanc.process, whole.redis.process, *whole.processes.values())
    parts = {
        "workers": cpu_seconds([process.pid for process in workers]),
        "triton": cpu_seconds([whole.triton.process.pid]),
        "delivery": cpu_seconds([whole.processes["delivery"].pid]),
        "all others": cpu_seconds([process.pid for process in others]),
    }
    metrics = httpx.get(
        f"http://127.0.0.1:{whole.triton.metrics_port}/metrics", trust_env=False
    ).text
    return _Spent(
        parts,
        {name: int(value) / 1e6 for name, value in _COMPUTED.findall(metrics)},
        {name: int(value) for name, value in _REQUESTS.findall(metrics)},
    )


def _demand(before: _Spent, after: _Spent, studies: int, seconds: float, images: int) -> Demand:
    cost = {name: (after.parts[name] - before.parts[name]) / studies for name in after.parts}
    requests = {name: after.requests[name] - before.requests[name] for name in after.requests}
    computed = {
        name: (after.model_seconds[name] - before.model_seconds[name]) / studies
        for name, number in requests.items()
        if number
    }
    # Triton's metrics share its processor time out among the models.
    share = cost["triton"] / sum(computed.values())
    return Demand(
        images=images,
        worker_seconds=cost["workers"],
        model_seconds={name: share * value / images for name, value in computed.items()},
        delivery_seconds=cost["delivery"],
        other_seconds=cost["all others"] - cost["delivery"],
        waiting_seconds=max(seconds / studies - cost["workers"] - cost["triton"], 0.0),
    )
