"""The embedded stack that runs in STATE_DIR, as commands in another shell see it.

In: the user's settings. Out: the same with the ports and addresses of the running stack, which
`make demo` moves where others are in use. What must hold: what the user says himself wins; without
a running stack nothing changes.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from node.settings import Settings, load_settings

# What `stack` writes into its state folder; the second is supervisord's, and goes with it.
ENVIRONMENT_FILE = "stack.env"
PROCESS_FILE = "supervisord.pid"


def load_running_settings() -> Settings:
    """Read the settings, and where a stack runs in STATE_DIR what it was started with."""
    user = load_settings()
    if not _runs(user.state_dir):
        return user
    found = read_environment(user.state_dir)
    return load_settings(
        **{name: value for name, value in found.items() if name not in user.model_fields_set}
    )


def read_environment(state_dir: Path) -> dict[str, str]:
    """The settings of the last stack by field name; empty where none ever ran."""
    try:
        words = shlex.split((state_dir / ENVIRONMENT_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    pairs = (word.partition("=") for word in words)
    return {name.removeprefix("SENTINODE_").lower(): value for name, _, value in pairs}


def _runs(state_dir: Path) -> bool:
    """Whether supervisord has that process id: after a kill -9 another process may have got it."""
    try:
        process_id = int((state_dir / PROCESS_FILE).read_text())
        command = Path(f"/proc/{process_id}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
    return b"supervisord" in command
