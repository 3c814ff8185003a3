"""Sessions (setsid(2)): all processes below a server, also those whose parent has died.

In: the leader of a session, or a variable of the environment that its processes carry. Out: their
ids; an end to all of them. What must hold: a server that leaves children behind, as Triton does
while it loads models, leaves them in its session, and whoever asks here finds them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

# Between SIGKILL and a process's last breath: exit of a large one on two busy cores.
KILL_SECONDS = 10.0


def is_alive(process_id: int) -> bool:
    """Whether a process still runs; one that only waits for its parent to look does not."""
    return _session(process_id) is not None


def members(session: int) -> list[int]:
    """The living processes of a session, its leader among them."""
    return [each for each in _processes() if _session(each) == session]


def carrying(name: str, value: str) -> set[int]:
    """The sessions of which a process of this user's has the variable in its environment."""
    wanted = os.fsencode(f"{name}={value}")
    found = {_session(each) for each in _processes() if wanted in _environment(each)}
    return {session for session in found if session is not None}


def end(session: int, seconds: float) -> None:
    """Ask all processes of a session to end; after `seconds` end them."""
    _signal(session, signal.SIGTERM)
    wait_for(lambda: not members(session), seconds)
    kill(session)


def kill(session: int) -> None:
    """End all processes of a session, and what they start meanwhile."""

    def gone() -> bool:
        return _signal(session, signal.SIGKILL) == 0

    wait_for(gone, KILL_SECONDS)


def wait_for(true: Callable[[], bool], seconds: float) -> bool:
    """Ask until it is true, for `seconds` at most; what it said last."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _signal(session: int, number: signal.Signals) -> int:
    """Send a signal to all of a session; to how many."""
    found = members(session)
    for each in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, number)
    return len(found)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _session(process_id: int) -> int | None:
    """The session of a process; None when it has ended."""
    try:
        facts = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return None
    # proc(5): state, ppid, pgrp, session follow the name, which is in parentheses and may hold
    # any letter.
    state, _parent, _group, session = facts.rpartition(")")[2].split()[:4]
    return None if state in "ZX" else int(session)


def _environment(process_id: int) -> list[bytes]:
    """What a process was started with; nothing where it is another user's."""
    try:
        return Path(f"/proc/{process_id}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
