"""The embedded stack from preparation to stop: composes the other modules in order.

In: the user's settings. Out: a running stack whose every part answers, or an error that names the
part. What must hold: two stacks with different state directories and ports never meet.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.errors import ConfigurationError
from node.running import read_environment
from node.settings import Settings
from stack import health, orthanc, ports, redis, supervisor, triton
from stack.plan import Executables, programs
from stack.state import StateDir, resolve, write_destinations, write_stack_env


@dataclass(frozen=True, slots=True)
class Stack:
    """One embedded stack: its settings and the environment that carries them."""

    settings: Settings
    environment: Mapping[str, str]

    @property
    def state(self) -> StateDir:
        """Its folder."""
        return StateDir(self.settings.state_dir)


def plan(user: Settings, **overrides: Any) -> Stack:
    """The stack of these settings. Nothing is written or started."""
    return Stack(*resolve(user, **overrides))


def running(user: Settings) -> Stack | None:
    """The stack that runs in the state directory now, with the ports it was started with."""
    state = StateDir(user.state_dir.absolute())
    if not supervisor.is_running(state):
        return None
    return plan(user, **read_environment(state.root))


def start(stack: Stack, with_parent: bool = False) -> subprocess.Popen[bytes]:
    """Prepare the state directory and start supervisord; returns at once.

    `with_parent`: the stack stops when this process has died. Raises ConfigurationError when a port
    is taken or a part is not installed.
    """
    ports.require_free(stack.settings)
    stack.state.prepare()
    found = _executables(stack.settings)
    orthanc.write_configuration(stack.settings, orthanc.dicomweb_plugin())
    write_destinations(stack.settings)
    write_stack_env(stack.state, dict(stack.environment))
    plan_text = supervisor.render(programs(stack.settings, found, Path.cwd()), stack.state)
    stack.state.supervisord_conf.write_text(plan_text, encoding="utf-8")
    _upgrade_database(stack, found)
    return supervisor.start(stack.state, stack.environment, with_parent)


def wait(stack: Stack, seen: Callable[[health.Part, bool], None]) -> None:
    """Return once every part answers. Raises health.PartFailedError."""
    health.wait(stack.settings, seen)


def stop(stack: Stack) -> None:
    """Stop the stack, also where supervisord has gone without it."""
    try:
        supervisor.stop(stack.state)
    except supervisor.StackNotRunningError:
        supervisor.end_left(stack.state)
    triton.remove_regions(stack.settings.triton_grpc_port)


def end_left(user: Settings) -> bool:
    """End what a stack that was killed left in the state directory; whether anything was left."""
    state = StateDir(user.state_dir.absolute())
    stack = plan(user, **read_environment(state.root))
    left = supervisor.end_left(state)
    triton.remove_regions(stack.settings.triton_grpc_port)
    return left


def sentinode() -> Path:
    """Our own command line, beside the interpreter that runs this."""
    script = Path(sys.executable).parent / "sentinode"
    if not script.is_file():
        raise FileNotFoundError(f"{script} is missing: pip install -e '.[worker,embedded]'")
    return script


def _executables(settings: Settings) -> Executables:
    state = StateDir(settings.state_dir)
    _require_no_spaces(state.root, settings.model_repository, Path(sys.prefix))
    _require_models(settings.model_repository)
    try:
        backends = triton.link_python_backend(state.triton_backends)
        argv, env = triton.tritonserver_command(
            settings.model_repository,
            backends,
            settings.triton_http_port,
            settings.triton_grpc_port,
            settings.triton_metrics_port,
        )
        return Executables(
            sentinode=(str(sentinode()),),
            orthanc=orthanc.executable(),
            redis=redis.executable(),
            triton=tuple(argv),
            triton_env=_beyond_ours(env),
        )
    except FileNotFoundError as error:
        raise ConfigurationError(str(error)) from error


def _require_no_spaces(*paths: Path) -> None:
    """Triton starts its Python models through a shell and quotes no path: they would hang."""
    for path in paths:
        if any(letter.isspace() for letter in str(path)):
            raise ConfigurationError(f"Triton cannot work below '{path}': its path has a space")


def _require_models(repository: Path) -> None:
    """Triton starts without models too, and would be waited for."""
    if not any(repository.glob("*/config.pbtxt")):
        raise ConfigurationError(
            f"SENTINODE_MODEL_REPOSITORY {repository} holds no model; name the folder "
            "model_repository of a checkout"
        )


def _beyond_ours(env: Mapping[str, str]) -> dict[str, str]:
    """What differs from the environment that every program has anyway."""
    return {name: value for name, value in env.items() if os.environ.get(name) != value}


def _upgrade_database(stack: Stack, found: Executables) -> None:
    """Bring the schema up to date before anything opens the database."""
    log = stack.state.log("db-upgrade")
    with log.open("wb") as output:
        done = subprocess.run(
            [*found.sentinode, "db", "upgrade"],
            env={**os.environ, **stack.environment},
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode != 0:
        raise health.PartFailedError(f"the database schema could not be upgraded; see {log}")
