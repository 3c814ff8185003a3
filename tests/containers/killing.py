"""Kill every container of a Compose project in turn while studies are in flight; count afterwards.

    python -m tests.containers.killing [--profile cpu] [--studies 2] [--keep]

Needs Docker with Compose v2 and the images (`make images`). Before each kill, studies are sent with
`sentinode send` from a container of the worker image; what the receiver has acknowledged must end
as one SEG and one SR for each study in the archive, exactly once. A send that the kill interrupts
is repeated, as a modality repeats it. Exit status 0 only if nothing was lost or doubled.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from tests.containers.project import Project, report, run

COUNT = (Path(__file__).parent / "count.py").read_text(encoding="utf-8")
# Any free ports: another project may run on the usual ones.
PORTS = {"DICOM_PUBLISH": "0", "HTTP_PUBLISH": "0", "ORTHANC_PUBLISH": "0"}
QUIET = {"SENTINODE_STUDY_QUIET_SECONDS": "3", "SENTINODE_LEASE_SECONDS": "15", **PORTS}
# With the doorbell lost, ringing, leases and back-off take tens of seconds each.
END_SECONDS = 900.0
SEND_TRIES = 40
# Studies of a run, by the first seed; each has one mammogram.
FIRST_SEED = 41_000


class Sender:
    """A container of the worker image that draws, sends and asks."""

    def __init__(self, project: Project) -> None:
        words = ("run", "--detach", "--no-deps", "--entrypoint", "sleep", "demo", "7200")
        self.container = project.compose(*words).split()[-1]

    def draw(self, count: int) -> list[str]:
        """Write at least two studies of one mammogram each; their folders."""
        options = ("--views", "LCC", "--size", "1024", "--no-processing")
        seed = ("--seed", str(FIRST_SEED), "--count", str(count))
        self.run("phantom", "--out", "/tmp/s", *seed, *options)
        return [f"/tmp/s/study-{number:04d}" for number in range(1, count + 1)]

    def send(self, folder: str) -> str:
        """Send until every image is acknowledged; the Study Instance UID."""
        for _ in range(SEND_TRIES):
            try:
                said = self.run("send", folder, "--to", "SENTINODE@node:11112")
            except subprocess.CalledProcessError:
                time.sleep(2)
                continue
            return said.split()[-1]
        raise RuntimeError(f"{folder} was refused {SEND_TRIES} times")

    def count(self, studies: list[str]) -> dict[str, dict[str, object]]:
        """What became of studies."""
        argv = ("docker", "exec", "--interactive", self.container, "python3", "-")
        found: dict[str, dict[str, object]] = json.loads(run(*argv, *studies, stdin=COUNT))
        return found

    def remove(self) -> None:
        """End the container."""
        run("docker", "rm", "--force", self.container)

    def run(self, *words: str) -> str:
        """Run `sentinode` in the container; its standard output."""
        return run("docker", "exec", self.container, "sentinode", *words)


def kill_each(project: Project, sender: Sender, per_kill: int) -> list[str]:
    """One round for each running service; the studies that were acknowledged."""
    victims = [name for name in project.services() if name != "demo"]
    folders = sender.draw(len(victims) * per_kill)
    studies: list[str] = []
    for number, victim in enumerate(victims):
        mine = folders[number * per_kill : (number + 1) * per_kill]
        began = time.monotonic()
        # The first is being analysed when the second comes; the kill falls between or into either.
        sending = [_in_background(sender.container, folder) for folder in mine]
        time.sleep(2.0 + 3.0 * (number % 4))
        project.kill(victim)
        back_s = _healthy_after(project, victim)
        for process in sending:
            process.wait()
        studies += [sender.send(folder) for folder in mine]
        report(
            {
                "killed": victim,
                "healthy_again_after_s": round(back_s, 1),
                "round_s": round(time.monotonic() - began, 1),
            }
        )
    return studies


def outcome(sender: Sender, studies: list[str]) -> dict[str, dict[str, object]]:
    """Wait until every study has ended; what became of each."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        found = sender.count(studies)
        ended = [row for row in found.values() if row["state"] in ("done", "failed", "skipped")]
        if len(ended) == len(studies) or time.monotonic() > deadline:
            return found
        time.sleep(5)


def lost(found: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """The studies that are not as they must be."""
    good = {"state": "done", "error": None, "instances": 1, "SR": 1, "wrong": []}
    return {
        uid: row
        for uid, row in found.items()
        if any(row.get(name) != value for name, value in good.items())
    }


def _in_background(container: str, folder: str) -> subprocess.Popen[bytes]:
    argv = [
        "docker",
        "exec",
        container,
        "sentinode",
        "send",
        folder,
        "--to",
        "SENTINODE@node:11112",
    ]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _healthy_after(project: Project, service: str) -> float:
    """Seconds until Docker has restarted the container, and its health check passes."""
    began = time.monotonic()
    while project.restarts(service) == 0 or not project.healthy(service):
        if time.monotonic() - began > END_SECONDS:
            raise RuntimeError(f"{service} does not come back")
        time.sleep(0.5)
    return time.monotonic() - began


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--studies", type=int, default=2, help="for each kill, two or more")
    parser.add_argument("--keep", action="store_true", help="leave the project running")
    arguments = parser.parse_args()
    project = Project(arguments.profile, environment=QUIET)
    with project.removed_afterwards(arguments.keep):
        report({"up_s": round(project.up(), 1)})
        sender = Sender(project)
        studies = kill_each(project, sender, arguments.studies)
        found = outcome(sender, studies)
        wrong = lost(found)
        sender.remove()
        report({"studies": len(set(studies)), "lost_or_wrong": wrong})
        if wrong or len(set(studies)) != len(found):
            sys.exit(1)


if __name__ == "__main__":
    main()
