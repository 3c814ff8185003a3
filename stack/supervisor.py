"""supervisord: runs the programs, restarts those that end, stops them together.

In: programs. Out: `STATE_DIR/supervisord.conf`, a running supervisord, and what it says about each
program. What must hold: it is reachable by its owner only, and once it has stopped none of its
programs is left.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from node.errors import ConfigurationError, SentinodeError
from stack.plan import Program
from stack.state import StateDir

# Each retry waits one second longer than the last: a disk that was full for an hour is survived.
START_RETRIES = 100
LOG_FILE_BYTES = 20 << 20
ANSWER_SECONDS = 30.0  # from exec to the first answer: under 1 s on a quiet machine
STOP_SECONDS = 90  # the longest stopwaitsecs of each of the three priorities, one after the other


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
        f"pidfile={_path(state.root / 'supervisord.pid')}",
        # Without it supervisord warns root at every start that it drops no privileges.
        *([f"user={os.getuid()}"] if os.getuid() == 0 else []),
        "[unix_http_server]",
        f"file={_path(state.socket)}",
        "chmod=0600",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    return "\n".join([*head, *(_section(program) for program in programs)]) + "\n"


def start(state: StateDir, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own, so that a Ctrl-C here does not reach it.

    Returns once it answers. Raises StackNotRunningError with its last words.
    """
    argv = [sys.executable, "-m", "supervisor.supervisord", "-c", str(state.supervisord_conf)]
    log = state.log("supervisord.out")
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + ANSWER_SECONDS
    while not is_running(state):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
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
    """Every program by name. Raises StackNotRunningError."""
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

    Raises StackNotRunningError when none runs, TimeoutError when some do not end.
    """
    pid = int(_call(state, "supervisor.getPID"))
    _call(state, "supervisor.shutdown")
    deadline = time.monotonic() + STOP_SECONDS
    while _alive(pid):
        if time.monotonic() > deadline:
            raise TimeoutError(f"supervisord ({pid}) does not end; see {state.log('supervisord')}")
        time.sleep(0.1)


def _alive(process_id: int) -> bool:
    """Whether a process still runs; one that only waits for its parent to look does not."""
    try:
        facts = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    # proc(5): the state follows the name, which is in parentheses and may hold any letter.
    return facts.rpartition(")")[2].split()[0] != "Z"


def _call(state: StateDir, method: str) -> Any:
    transport = SupervisorTransport(None, None, serverurl=f"unix://{state.socket}")
    try:
        with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy, method)()
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
