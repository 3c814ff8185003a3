"""The demo: one synthetic study from C-STORE to the archive, checked there.

In: settings. Out: findings and links on the screen, `demo/findings.png`, and exit status 0 only if
every SEG and SR of the study is in Orthanc exactly once. What must hold: running it again sends the
same study again, which adds nothing to the archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from node.errors import SentinodeError
from node.identifiers import AETitle
from node.send import Peer
from node.settings import Settings
from node.store.files import Files
from stack import archive, embedded, ports
from stack.display import StartDisplay
from stack.interruption import Interruption
from stack.state import StateDir
from stack.trial import Trial, TrialFailedError, run_trial
from workers.pictures.png import contact_sheet

PICTURE = Path("demo") / "findings.png"
# Nobody sends anything else meanwhile, so the demo need not wait for stragglers.
QUIET_SECONDS = 3
READY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Demo:
    """A running stack and where to talk about it."""

    stack: embedded.Stack
    console: Console

    @property
    def settings(self) -> Settings:
        """Settings of the stack."""
        return self.stack.settings


def run_demo(user: Settings, keep: bool, console: Console, interruption: Interruption) -> int:
    """Run the demo and return the exit status."""
    running = embedded.running(user)
    try:
        if running is None:
            embedded.end_left(user)
            _from_start(Demo(_planned(user), console), keep, interruption)
        else:
            with interruption.released():
                _tell(Demo(running, console))
    except (SentinodeError, httpx.HTTPError) as error:
        console.print(f"[red]demo failed:[/red] {escape(str(error))}", highlight=False)
        console.print(f"logs: {StateDir(user.state_dir.absolute()).logs}")
        return 1
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


def _from_start(demo: Demo, keep: bool, interruption: Interruption) -> None:
    """Start the stack, and stop it afterwards unless it is kept and nobody has interrupted."""
    embedded.start(demo.stack, with_parent=not keep)
    try:
        with interruption.released():
            with StartDisplay(demo.settings, demo.console) as display:
                embedded.wait(demo.stack, display.seen)
            _tell(demo)
    except KeyboardInterrupt:
        keep = False
        raise
    finally:
        _end(demo, keep)


def _end(demo: Demo, keep: bool) -> None:
    if keep:
        demo.console.print("the stack runs on; `make down` stops it")
        return
    embedded.stop(demo.stack)
    demo.console.print("stack stopped; `make demo KEEP=1` leaves it running for the pages above")


def _tell(demo: Demo) -> None:
    """The life of one study, which goes to its archive and to the node as a modality sends it."""
    settings = demo.settings
    targets = [
        Peer(AETitle("ORTHANC"), "127.0.0.1", settings.orthanc_dicom_port),
        Peer(AETitle(settings.ae_title), "127.0.0.1", settings.dicom_port),
    ]
    folder = demo.stack.state.root / "demo-study"
    status = run_trial(Trial(settings, demo.console, folder, targets))
    _picture(demo, status)
    _links(demo, status["study_uid"])


def _picture(demo: Demo, status: dict[str, Any]) -> None:
    """One sheet of all images with their findings."""
    files = Files(demo.settings.state_dir)
    study_uid, revision = status["study_uid"], status["revision"]
    folder = files.absolute(files.picture_path(study_uid, revision, study_uid)).parent
    pictures = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
    if not pictures:
        raise TrialFailedError(f"the workers drew no picture in {folder}")
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
