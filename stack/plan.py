"""Settings -> the programs of the embedded stack. Nothing is started or written here.

What must hold: peers come before the node, the node before its workers; every program is told
everything through its command line and environment; every one has its own log file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node.settings import Settings
from stack import orthanc, redis
from stack.state import StateDir

# An analysis of four mammograms takes tens of seconds on two cores; a worker may finish what it
# has begun. What takes longer is killed, and its lease gives the job to the next worker.
WORKER_STOP_SECONDS = 30
SERVER_STOP_SECONDS = 20  # Triton waits 15 s for inferences in flight


@dataclass(frozen=True, slots=True)
class Executables:
    """What the plan starts. `triton`: argv; `triton_env`: what it needs beyond the common one."""

    sentinode: tuple[str, ...]
    orthanc: Path
    redis: Path
    triton: tuple[str, ...]
    triton_env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised process. `env` comes on top of the environment common to all."""

    name: str
    argv: tuple[str, ...]
    log_file: Path
    cwd: Path
    priority: int  # lower starts earlier and stops later
    env: Mapping[str, str] = field(default_factory=dict)
    startsecs: int = 2
    autorestart: bool = True
    stopwaitsecs: int = SERVER_STOP_SECONDS
    # False where the first process wants to end its children itself.
    stopasgroup: bool = True


def programs(settings: Settings, found: Executables, cwd: Path) -> list[Program]:
    """Return the programs in the order in which they start.

    `cwd`: the node's working folder, against which the user's own relative paths are read.
    """
    return [*peers(settings, found), *_node(settings, found, cwd), *_workers(settings, found, cwd)]


def peers(settings: Settings, found: Executables) -> list[Program]:
    """Broker, archive and inference server."""
    state = StateDir(settings.state_dir)
    return [
        Program(
            "redis", tuple(redis.command(settings, found.redis)), state.log("redis"), state.root, 10
        ),
        Program(
            "orthanc",
            tuple(orthanc.command(settings, found.orthanc)),
            state.log("orthanc"),
            state.root,
            10,
        ),
        Program(
            "triton",
            found.triton,
            state.log("triton"),
            state.root,
            10,
            env=found.triton_env,
            startsecs=5,
            stopasgroup=False,
        ),
    ]


def _node(settings: Settings, found: Executables, cwd: Path) -> list[Program]:
    state = StateDir(settings.state_dir)
    return [
        Program(role, (*found.sentinode, "run", role), state.log(role), cwd, 20)
        for role in ("receive", "sweep", "web")
    ]


def _workers(settings: Settings, found: Executables, cwd: Path) -> list[Program]:
    state = StateDir(settings.state_dir)
    return [
        Program(
            f"worker-{kind}",
            (*found.sentinode, "run", "worker", "--queue", f"leased.{kind}", "--concurrency", "1"),
            state.log(f"worker-{kind}"),
            cwd,
            30,
            startsecs=5,
            stopwaitsecs=WORKER_STOP_SECONDS,
            stopasgroup=False,
        )
        for kind in ("analysis", "delivery")
    ]
