"""Back a Compose project up, remove it with its volumes, restore it: by the commands of the docs.

    python -m tests.containers.backup [--profile cpu] [--keep]

Needs Docker with Compose v2 and the images (`make images`). The commands are those of
docs/deployment-compose.md, taken from the page. Afterwards every received object and every result
must have its bytes, what was done must not be done again, and a new study must be analysed. Exit
status 0 only then.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.containers.killing import QUIET, Sender, lost, outcome
from tests.containers.project import ROOT, Project, report, run

INTACT = (Path(__file__).parent / "intact.py").read_text(encoding="utf-8")
PAGE = ROOT / "docs" / "deployment-compose.md"


def commands() -> tuple[str, str]:
    """The page's commands to back up, and those to restore."""
    section = PAGE.read_text(encoding="utf-8").split("## Upgrade, backup, removal")[1]
    backup, restore = re.findall(r"```\n(.*?)```", section, re.DOTALL)[:2]
    return backup, restore


def follow(project: Project, text: str, folder: Path) -> float:
    """Run commands as a person would, in a folder of theirs; seconds taken."""
    began = time.monotonic()
    environment = {
        **project.environment_of_commands(),
        "COMPOSE_FILE": str(ROOT / "docker-compose.yml"),
        "COMPOSE_PROJECT_NAME": project.name,
    }
    subprocess.run(["bash", "-euxc", text], cwd=folder, env=environment, check=True, timeout=900)
    return round(time.monotonic() - began, 1)


def inventory(sender: Sender) -> dict[str, object]:
    """How many objects there are, and which are damaged."""
    argv = ("docker", "exec", "--interactive", sender.container, "python3", "-")
    found: dict[str, object] = json.loads(run(*argv, stdin=INTACT))
    return found


def there_and_back(project: Project, folder: Path) -> bool:
    """Send, back up, remove, restore, look, send again; whether all is as it was."""
    backup, restore = commands()
    report({"up_s": round(project.up(), 1)})
    sender = Sender(project)
    first, second = (sender.send(path) for path in sender.draw(2))
    wrong = lost(outcome(sender, [first, second]))
    before = inventory(sender)
    report({"backup_s": follow(project, backup, folder)})
    sender.remove()
    project.down()
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    report({"restore_s": follow(project, restore, folder), "bytes": sizes})
    sender = Sender(project)
    after = inventory(sender)
    report({"before": before, "after": after})
    third = sender.send(sender.draw(3)[2])
    wrong |= lost(outcome(sender, [third]))
    sender.remove()
    report({"lost_or_wrong": wrong})
    return before == after and not after["damaged"] and not wrong


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--keep", action="store_true", help="leave the project running")
    arguments = parser.parse_args()
    project = Project(arguments.profile, name="sentinode-backup", environment=QUIET)
    folders = tempfile.TemporaryDirectory(prefix="backup-")
    with project.removed_afterwards(arguments.keep), folders as folder:
        if not there_and_back(project, Path(folder)):
            sys.exit(1)


if __name__ == "__main__":
    main()
