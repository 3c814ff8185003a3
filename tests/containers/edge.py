"""The profile jetson on little: 3 GB and one core for all of it, and an uplink that is down.

    python -m tests.containers.edge [--memory-gb 3] [--cores 1] [--keep]

Needs root, Docker with Compose v2 and the images. There is no GPU here: Triton runs its CPU
configuration from the image sentinode/triton in place of sentinode/triton-jetson, one instance of
each model as there. The archive stands for the hospital's and lies outside of the limits. Exit
status 0 only if the demo study waits while the archive is away, reaches it afterwards exactly once,
and no process was ended for want of memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.containers.confinement import Group, confined
from tests.containers.killing import PORTS, Sender, lost
from tests.containers.project import Project, report

GROUP = "sentinode-edge"
INSIDE = ("node", "sweeper", "web", "worker-edge", "triton-jetson", "redis", "migrate")
SETTINGS = {
    **PORTS,
    "SENTINODE_STUDY_QUIET_SECONDS": "5",
    "SENTINODE_TRITON_JETSON_IMAGE": "sentinode/triton:latest",
    "TRITON_JETSON_RUNTIME": "runc",
}
DEMO = ("phantom", "--out", "/tmp/demo", "--no-processing")
# Four mammograms on one core that is shared with others.
ANALYSIS_SECONDS = 1500.0
AWAY_SECONDS = 20.0


def follow(sender: Sender, study: str, wanted: str) -> dict[str, object]:
    """Wait until the study is in a state; what is known of it then."""
    deadline = time.monotonic() + ANALYSIS_SECONDS
    while True:
        row = sender.count([study])[study]
        if row["state"] == wanted or row["state"] == "failed":
            return row
        if time.monotonic() > deadline:
            raise RuntimeError(f"the study is {row['state']}, not {wanted}: {row}")
        time.sleep(5)


def show_memory(project: Project, group: Group) -> None:
    """Print the peaks."""
    names = {project.container(name): name for name in project.services()}
    for peak in group.peaks(names):
        if peak.resident_mib >= 1:
            print(f"{peak.resident_mib:8.0f} MiB  {peak.container:14} {peak.command}")
    report({"peak_of_all_mib": round(group.peak_mib()), "killed_for_memory": group.killed()})


def trial(project: Project, group: Group) -> bool:
    """One study with the archive away; whether all is as it must be."""
    report({"up_s": round(project.up(), 1)})
    sender = Sender(project)
    sender.run(*DEMO)
    project.compose("stop", "orthanc")
    began = time.monotonic()
    study = sender.send("/tmp/demo")
    waiting = follow_blind(sender, study)
    report({"analysed_after_s": round(time.monotonic() - began, 1), "archive_away": waiting})
    time.sleep(AWAY_SECONDS)
    project.compose("start", "orthanc")
    back = time.monotonic()
    done = follow(sender, study, "done")
    report({"delivered_after_return_s": round(time.monotonic() - back, 1), "study": done})
    show_memory(project, group)
    sender.remove()
    wrong = lost({study: {**done, "instances": 1}})
    return waiting["state"] == "delivering" and not wrong and group.killed() == 0


def follow_blind(sender: Sender, study: str) -> dict[str, str]:
    """Wait for the state `delivering` without asking the archive, which is away."""
    deadline = time.monotonic() + ANALYSIS_SECONDS
    while True:
        said = sender.run("status", study).splitlines()
        state = said[1].split(",")[0]
        if state in ("delivering", "failed", "done"):
            return {"state": state}
        if time.monotonic() > deadline:
            raise RuntimeError(f"not analysed in time: {said}")
        time.sleep(5)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory-gb", type=float, default=3.0)
    parser.add_argument("--cores", type=float, default=1.0)
    parser.add_argument("--keep", action="store_true", help="leave the project running")
    arguments = parser.parse_args()
    limits = {name: {"cgroup_parent": f"/{GROUP}"} for name in INSIDE}
    with tempfile.TemporaryDirectory(prefix="sentinode-edge-") as folder:
        override = Path(folder) / "edge.yml"
        override.write_text(yaml.safe_dump({"services": limits}), encoding="utf-8")
        project = Project("jetson,archive", "sentinode-edge-test", SETTINGS, [override])
        with (
            confined(GROUP, int(arguments.memory_gb * 1e9), arguments.cores) as group,
            project.removed_afterwards(arguments.keep),
        ):
            good = trial(project, group)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
