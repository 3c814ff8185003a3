"""The demo: one synthetic study from C-STORE to the archive, checked there.

In: settings. Out: findings and links on the screen, `demo/findings.png`, and exit status 0 only if
every SEG and SR of the study is in Orthanc exactly once. What must hold: running it again sends the
same study again, which adds nothing to the archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from node.commands import wait_for_end
from node.errors import SentinodeError
from node.identifiers import AETitle
from node.send import Peer, find_instances, send_instances
from node.settings import Settings
from node.store.files import Files
from node.store.session import open_store
from phantoms.commands import DEMO_SEED
from phantoms.dataset import read_truth
from phantoms.study import StudyOptions, count_images, write_study
from stack import archive, embedded, ports, truth
from stack.display import StartDisplay
from stack.state import DEMO_MODALITY
from workers.pictures import contact_sheet

PICTURE = Path("demo") / "findings.png"
# Nobody sends anything else meanwhile, so the demo need not wait for stragglers.
QUIET_SECONDS = 3
READY_SECONDS = 1
# 4 images through all models take under a minute on two quiet cores.
ANALYSIS_SECONDS = 600.0
POLL_SECONDS = 0.5


class DemoFailedError(SentinodeError):
    """A part of the demo did not do what it must; the text names the part."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A running stack and where to talk about it."""

    stack: embedded.Stack
    console: Console

    @property
    def settings(self) -> Settings:
        """Settings of the stack."""
        return self.stack.settings


def run_demo(user: Settings, keep: bool, console: Console) -> int:
    """Run the demo and return the exit status."""
    was_running = embedded.running(user)
    demo = Demo(was_running or _planned(user), console)
    try:
        if was_running is None:
            _start(demo)
        _tell(demo)
    except (SentinodeError, httpx.HTTPError) as error:
        console.print(f"[red]demo failed:[/red] {error}", highlight=False)
        console.print(f"logs: {demo.stack.state.logs}")
        return 1
    finally:
        if was_running is None:
            _end(demo, keep)
    return 0


def _planned(user: Settings) -> embedded.Stack:
    """The stack on its usual ports, on free ones where those are taken, and impatient."""
    chosen = user.model_fields_set
    hurry = {"study_quiet_seconds": QUIET_SECONDS, "study_ready_seconds": READY_SECONDS}
    return embedded.plan(
        user,
        **ports.replacements(user),
        **{name: value for name, value in hurry.items() if name not in chosen},
    )


def _start(demo: Demo) -> None:
    embedded.start(demo.stack)
    with StartDisplay(demo.settings, demo.console) as display:
        embedded.wait(demo.stack, display.seen)


def _end(demo: Demo, keep: bool) -> None:
    if keep:
        demo.console.print("the stack runs on; `make down` stops it")
    elif embedded.running(demo.settings) is not None:
        embedded.stop(demo.stack)
        demo.console.print(
            "stack stopped; `make demo KEEP=1` leaves it running for the pages above"
        )


def _tell(demo: Demo) -> None:
    """The life of one study."""
    folder = _make_study(demo)
    study_uid = _send(demo, folder)
    status = _await(demo, study_uid)
    demo.console.print(truth.table(status, read_truth(folder)))
    _check(demo, status)
    _picture(demo, status)
    _links(demo, study_uid)


def _make_study(demo: Demo) -> Path:
    """Write the phantom study once: the same files are sent at every run."""
    folder = demo.stack.state.root / "demo-study"
    if (folder / "index.json").is_file():  # written last
        return folder
    options = StudyOptions(processing=False)
    with _bar(demo) as progress:
        task = progress.add_task("drawing synthetic mammograms", total=count_images(options))
        write_study(folder, DEMO_SEED, options, partial(progress.advance, task))
    return folder


def _send(demo: Demo, folder: Path) -> str:
    """Send the study as a modality would: to its archive and to the node."""
    settings = demo.settings
    files = find_instances([folder])
    targets = [
        Peer(AETitle("ORTHANC"), "127.0.0.1", settings.orthanc_dicom_port),
        Peer(AETitle(settings.ae_title), "127.0.0.1", settings.dicom_port),
    ]
    with _bar(demo) as progress:
        for target in targets:
            task = progress.add_task(f"C-STORE to {target.ae_title}", total=len(files))
            advance = partial(progress.advance, task)
            outcomes = send_instances(files, target, DEMO_MODALITY, advance)
            refused = [outcome for outcome in outcomes if not outcome.accepted]
            if refused:
                raise DemoFailedError(f"{target.ae_title} refused an image: {refused[0].text}")
    return files[0].study_uid


def _await(demo: Demo, study_uid: str) -> dict[str, Any]:
    """Wait for the node to be done with the study. Raises DemoFailedError."""
    store = open_store(demo.settings)
    try:
        with _progress(demo, "analysing: preprocess, Triton, SEG, SR, delivery"):
            status = wait_for_end(store, study_uid, ANALYSIS_SECONDS)
    finally:
        store.close()
    if status["state"] != "done":
        raise DemoFailedError(f"the study is {status['state']}: {status['error'] or 'no reason'}")
    return status


def _check(demo: Demo, status: dict[str, Any]) -> None:
    """Ask the archive itself. Raises DemoFailedError."""
    kinds = [row["kind"] for row in status["results"]]
    wrong = [
        f"{run['model']} failed on {run['source_sop_uid']}: {run['error']}"
        for run in status["model_runs"]
        if run["state"] == "failed"
    ]
    wrong += [f"the node made no {kind}" for kind in ("SEG", "SR") if kind not in kinds]
    wrong += archive.differences(demo.settings.orthanc, status)
    if wrong:
        raise DemoFailedError("; ".join(wrong))
    demo.console.print(
        f"[green]Orthanc holds all of it once:[/green] "
        f"{kinds.count('SEG')} SEG, {kinds.count('SR')} SR"
    )


def _picture(demo: Demo, status: dict[str, Any]) -> None:
    """One sheet of all images with their findings."""
    files = Files(demo.settings.state_dir)
    study_uid, revision = status["study_uid"], status["revision"]
    folder = files.absolute(files.picture_path(study_uid, revision, study_uid)).parent
    pictures = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
    if not pictures:
        raise DemoFailedError(f"the workers drew no picture in {folder}")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(contact_sheet(pictures))
    demo.console.print(f"pictures    {PICTURE}")


def _links(demo: Demo, study_uid: str) -> None:
    settings, console = demo.settings, demo.console
    node = f"http://127.0.0.1:{settings.http_port}"
    console.print(
        f"Orthanc     {archive.explorer_url(settings.orthanc, study_uid)}", soft_wrap=True
    )
    viewer = f"{node}/viewer?StudyInstanceUIDs={study_uid}"
    missing = "not installed; `make viewer` fetches it"
    there = (settings.ohif_dir / "index.html").is_file()
    console.print(f"viewer      {viewer if there else missing}", soft_wrap=True)
    console.print(f"dashboard   {node}/studies/{study_uid}", soft_wrap=True)


def _progress(demo: Demo, text: str) -> Progress:
    """A spinner with the time that has passed, for what has no known length."""
    progress = Progress(
        SpinnerColumn(), TextColumn(text), TimeElapsedColumn(), console=demo.console
    )
    progress.add_task("")
    return progress


def _bar(demo: Demo) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        console=demo.console,
    )
