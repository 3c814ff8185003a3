"""One synthetic study through a node that runs, from C-STORE to its results in Orthanc.

In: settings, and where node and archive listen. Out: findings on the screen; a status object that
the archive itself has confirmed. What must hold: sending again sends the same bytes, which adds
nothing to the archive; nothing here starts or stops anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from node.commands import wait_for_end
from node.errors import SentinodeError
from node.send import Peer, find_instances, send_instances
from node.settings import Settings
from node.store.session import open_store
from phantoms.commands import DEMO_SEED
from phantoms.dataset import read_truth
from phantoms.study import StudyOptions, count_images, write_study
from stack import archive, truth
from stack.state import DEMO_MODALITY

# 4 images through all models take under a minute on two quiet cores.
ANALYSIS_SECONDS = 600.0


class TrialFailedError(SentinodeError):
    """The study did not arrive where it must; the text names the part."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A study on its way. `folder` holds its files; `targets` get it, as a modality sends it."""

    settings: Settings
    console: Console
    folder: Path
    targets: Sequence[Peer]


def run_trial(trial: Trial, seed: int = DEMO_SEED) -> dict[str, Any]:
    """Send the study, wait, check the archive; return the status. Raises TrialFailedError."""
    make_study(trial, seed)
    status = wait(trial, send(trial))
    trial.console.print(truth.table(status, read_truth(trial.folder)))
    check(trial, status)
    return status


def make_study(trial: Trial, seed: int) -> None:
    """Write the phantom study once: the same files are sent at every run."""
    if (trial.folder / "index.json").is_file():  # written last
        return
    options = StudyOptions(processing=False)
    with _bar(trial) as progress:
        task = progress.add_task("drawing synthetic mammograms", total=count_images(options))
        write_study(trial.folder, seed, options, partial(progress.advance, task))


def send(trial: Trial) -> str:
    """Send the study to every target; its Study Instance UID. Raises TrialFailedError."""
    files = find_instances([trial.folder])
    with _bar(trial) as progress:
        for target in trial.targets:
            task = progress.add_task(f"C-STORE to {target.ae_title}", total=len(files))
            advance = partial(progress.advance, task)
            outcomes = send_instances(files, target, DEMO_MODALITY, advance)
            refused = [outcome for outcome in outcomes if not outcome.accepted]
            if refused:
                raise TrialFailedError(f"{target.ae_title} refused an image: {refused[0].text}")
    return files[0].study_uid


def wait(trial: Trial, study_uid: str) -> dict[str, Any]:
    """Wait for the node to be done with the study. Raises TrialFailedError."""
    store = open_store(trial.settings)
    try:
        with _spinner(trial, "analysing: preprocess, Triton, SEG, SR, delivery"):
            status = wait_for_end(store, study_uid, ANALYSIS_SECONDS)
    finally:
        store.close()
    if status["state"] != "done":
        raise TrialFailedError(f"the study is {status['state']}: {status['error'] or 'no reason'}")
    return status


def check(trial: Trial, status: dict[str, Any]) -> None:
    """Ask the archive itself. Raises TrialFailedError."""
    kinds = [row["kind"] for row in status["results"]]
    wrong = [
        f"{run['model']} failed on {run['source_sop_uid']}: {run['error']}"
        for run in status["model_runs"]
        if run["state"] == "failed"
    ]
    wrong += [f"the node made no {kind}" for kind in ("SEG", "SR") if kind not in kinds]
    wrong += archive.differences(trial.settings.orthanc, status, trial.settings.orthanc_account())
    if wrong:
        raise TrialFailedError("; ".join(wrong))
    trial.console.print(
        f"[green]Orthanc holds all of it once:[/green] "
        f"{kinds.count('SEG')} SEG, {kinds.count('SR')} SR"
    )


def _spinner(trial: Trial, text: str) -> Progress:
    """A spinner with the time that has passed, for what has no known length."""
    progress = Progress(
        SpinnerColumn(), TextColumn(text), TimeElapsedColumn(), console=trial.console
    )
    progress.add_task("")
    return progress


def _bar(trial: Trial) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        console=trial.console,
    )
