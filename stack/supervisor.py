"""supervisord: runs the programs, restarts those that end, stops them together.

In: programs. Out: `STATE_DIR/supervisord.conf`, a running supervisord, and what it says about each
program. What must hold: it is reachable by its owner only, and once it has stopped none of its
programs is left, nor what they started; what a killed one left is found again.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from node.errors import ConfigurationError, SentinodeError
from node.running import PROCESS_FILE
from stack import sessions
from stack.plan import Program
from stack.process import die_with_the_parent
from stack.state import StateDir

# Each retry waits one second longer than the last: a disk that was full for an hour is survived.
START_RETRIES = 100
LOG_FILE_BYTES = 20 << 20
ANSWER_SECONDS = 30.0  # from exec to the first answer: under 1 s on a quiet machine
STOP_SECONDS = 90  # the longest stopwaitsecs of each of the three priorities, one after the other
# For what a killed supervisord left; a worker that needs longer has a lease that ends.
LEFT_SECONDS = 10.0


class StackNotRunningError(SentinodeError):
    """No supervisord answers on the state directory's socket."""


def render(programs: Iterable[Program], state: StateDir) -> str:
    """The configuration file."""
    head = [
        "; written at every start",
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        f"logfile={_path(state.log('supervisord'))}",
        f"pidfile={_path(state.root / PROCESS_FILE)}",
        # Without it supervisord warns root at every start that it drops no privileges.
        *([f"user={os.getuid()}"] if os.getuid() == 0 else []),
        "[unix_http_server]",
        f"file={_path(state.socket)}",
        "chmod=0600",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    return "\n".join([*head, *(_section(program) for program in programs)]) + "\n"


def start(
    state: StateDir, environment: Mapping[str, str], with_parent: bool = False
) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own, so that a Ctrl-C here does not reach it.

    `with_parent`: it stops when this process has died. Returns once it answers. Raises
    StackNotRunningError with its last words.
    """
    argv = [sys.executable, "-m", "supervisor.supervisord", "-c", str(state.supervisord_conf)]
    log = state.log("supervisord.out")
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **environment, **_mark(state)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=partial(die_with_the_parent, signal.SIGTERM) if with_parent else None,
        )
    deadline = time.monotonic() + ANSWER_SECONDS
    while not is_running(state):
        if process.poll() is not None or time.monotonic() > deadline:
            sessions.kill(process.pid)
            process.wait()
            said = log.read_text(encoding="utf-8", errors="replace")[-1000:]
            raise StackNotRunningError(f"supervisord does not start; see {log}\n{said}")
        time.sleep(0.1)
    return process


@dataclass(frozen=True, slots=True)
class Supervised:
    """What supervisord says of one program. `process_id` is 0 while it has no process."""

    state: str  # RUNNING, STARTING, BACKOFF, FATAL, ...
    process_id: int


def processes(state: StateDir) -> dict[str, Supervised]:
    """Every program by name. Raises ConfigurationError, StackNotRunningError."""
    rows = _call(state, "supervisor.getAllProcessInfo")
    return {str(row["name"]): Supervised(str(row["statename"]), int(row["pid"])) for row in rows}


def is_running(state: StateDir) -> bool:
    """Whether a supervisord answers on the socket."""
    try:
        processes(state)
    except StackNotRunningError:
        return False
    return True


def stop(state: StateDir) -> None:
    """Stop every program and supervisord; return once all are gone.

    supervisord ends a group of processes only where its first one does not end by itself. Triton
    does, and leaves the processes of models that it was loading. Raises StackNotRunningError.
    """
    session = int(_call(state, "supervisor.getPID"))
    _call(state, "supervisor.shutdown")
    sessions.wait_for(lambda: not sessions.is_alive(session), STOP_SECONDS)
    sessions.kill(session)


def end_left(state: StateDir) -> bool:
    """End what runs below a supervisord that was killed or is stopping; whether anything did.

    Raises ConfigurationError when that supervisord turns out to be at work.
    """
    found = sessions.carrying(*_mark(state).popitem())
    for session in found:
        _await_end(state, session)
        sessions.end(session, LEFT_SECONDS)
    return bool(found)


def _await_end(state: StateDir, session: int) -> None:
    """A supervisord that does not answer is on its way out, unless it is on its way in."""

    def over() -> bool:
        return not sessions.is_alive(session) or is_running(state)

    if sessions.wait_for(over, STOP_SECONDS) and sessions.is_alive(session):
        raise ConfigurationError(f"a stack runs in {state.root} already: `sentinode down`")


def _mark(state: StateDir) -> dict[str, str]:
    """What supervisord gives to every program; it gets the same, to be found with them."""
    return {"SUPERVISOR_SERVER_URL": f"unix://{state.socket}"}


def _call(state: StateDir, method: str) -> Any:
    transport = SupervisorTransport(None, None, serverurl=f"unix://{state.socket}")
    try:
        with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy, method)()
    except PermissionError as error:
        raise ConfigurationError(
            f"the stack in {state.root} is another account's; look at it and stop it as that one"
        ) from error
    except (OSError, HTTPException, Fault) as error:
        raise StackNotRunningError(f"no stack runs in {state.root}") from error


def _section(program: Program) -> str:
    # Through env(1), since `environment=` cannot express a double quote.
    pairs = [f"{name}={value}" for name, value in sorted(program.env.items())]
    argv = ["/usr/bin/env", *pairs, *program.argv] if pairs else program.argv
    facts = {
        "command": " ".join(_escape(shlex.quote(word)) for word in argv),
        "directory": _path(program.cwd),
        "priority": program.priority,
        "startsecs": program.startsecs,
        "startretries": START_RETRIES,
        "autorestart": str(program.autorestart).lower(),
        "stopwaitsecs": program.stopwaitsecs,
        "stopasgroup": str(program.stopasgroup).lower(),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _path(program.log_file),
        "stdout_logfile_maxbytes": LOG_FILE_BYTES,
        "stdout_logfile_backups": 2,
    }
    lines = [f"[program:{program.name}]", *(f"{name}={value}" for name, value in facts.items())]
    return "\n".join(lines)


def _escape(text: str) -> str:
    """supervisor expands `%(...)s` everywhere, and takes ` ;` for the start of a comment."""
    if " ;" in text or "\n" in text:
        raise ConfigurationError(f"supervisor cannot express {text!r}: no ' ;', no line break")
    return text.replace("%", "%%")


def _path(path: Path) -> str:
    """A path of supervisor's own, which it expands twice."""
    if "%" in str(path):
        raise ConfigurationError(f"supervisor cannot use {path}: no '%' in the state directory")
    return _escape(str(path))
