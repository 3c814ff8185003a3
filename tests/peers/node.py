"""The node's own processes, started as containers and supervisors start them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stack.process import running

_SENTINODE = Path(sys.executable).with_name("sentinode")


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """This process's environment, with these settings and no others."""
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith("SENTINODE_")
    }
    return inherited | {f"SENTINODE_{key.upper()}": str(value) for key, value in settings.items()}


def sentinode(settings: Mapping[str, object], *arguments: str) -> str:
    """Run one command to its end and return what it printed. Raises CalledProcessError."""
    done = subprocess.run(
        [_SENTINODE, *arguments],
        env=environment(settings),
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


@contextmanager
def running_role(
    settings: Mapping[str, object], *arguments: str, log: Path, ready_text: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `sentinode run ...` until the block ends; ready when its log holds `ready_text`."""

    def ready() -> bool:
        return ready_text in log.read_text(errors="replace")

    argv = [str(_SENTINODE), "run", *arguments]
    with running(argv, log, ready, environment=environment(settings)) as process:
        yield process
