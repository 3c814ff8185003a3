"""What the embedded stack decides, and the folder that holds all of its state.

In: the user's settings. Out: settings in which every path is absolute and every peer is the
stack's own, the environment that carries them to the programs, and `destinations.yaml`.
What must hold: removing the folder removes every trace of the stack; `stack.env` in it is enough
to talk to a running stack from another shell.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from node.running import ENVIRONMENT_FILE
from node.settings import Settings, load_settings
from node.store.files import FOLDER_MODE

# sun_path holds 108 bytes with the final NUL (unix(7)); supervisord first binds the name followed
# by a dot and its process id (up to 7 digits).
SOCKET_PATH_BYTES = 108 - 1 - 8

DEMO_MODALITY = "DEMO_MODALITY"  # AE title that sends the demo study


@dataclass(frozen=True, slots=True)
class StateDir:
    """Names inside the state directory."""

    root: Path

    @property
    def logs(self) -> Path:
        """One log file per program."""
        return self.root / "logs"

    @property
    def supervisord_conf(self) -> Path:
        """What supervisord runs."""
        return self.root / "supervisord.conf"

    @property
    def stack_env(self) -> Path:
        """SENTINODE_* of the stack, one shell assignment per line."""
        return self.root / ENVIRONMENT_FILE

    @property
    def destinations(self) -> Path:
        """Where results go unless SENTINODE_DESTINATIONS names another file."""
        return self.root / "destinations.yaml"

    @property
    def orthanc(self) -> Path:
        """Orthanc's configuration, index and storage."""
        return self.root / "orthanc"

    @property
    def redis(self) -> Path:
        """Redis' append-only file."""
        return self.root / "redis"

    @property
    def triton_backends(self) -> Path:
        """Links to the backends of the Triton wheel."""
        return self.root / "triton" / "backends"

    @property
    def socket(self) -> Path:
        """supervisord's socket; a short temporary folder where the state directory is too deep."""
        path = self.root / "supervisor.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
            return path
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"sentinode-{os.getuid()}-{digest}" / "supervisor.sock"

    def log(self, program: str) -> Path:
        """The log file of one program."""
        return self.logs / f"{program}.log"

    def prepare(self) -> None:
        """Make the folders; only the owner may enter the one with the socket."""
        for folder in (self.root, self.logs, self.orthanc / "storage", self.redis):
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self.triton_backends.mkdir(parents=True, exist_ok=True)
        self.socket.parent.mkdir(mode=0o700, exist_ok=True)
        if self.socket.parent.stat().st_uid != os.getuid():
            raise PermissionError(f"{self.socket.parent} belongs to another user")


def resolve(user: Settings, **overrides: Any) -> tuple[Settings, dict[str, str]]:
    """Return the settings of the stack and the environment variables that say the same.

    `user`: as read from the environment. `overrides`: what a command decides for its own run.
    """
    root = user.state_dir.absolute()
    chosen = {name: getattr(user, name) for name in type(user).model_fields}
    decided: dict[str, Any] = {
        **{name: value.absolute() for name, value in chosen.items() if isinstance(value, Path)},
        **{
            name: value
            for name, value in chosen.items()
            if name.endswith("_port") and value is not None
        },
        "destinations": (user.destinations or StateDir(root).destinations).absolute(),
        **overrides,
    }
    decided["broker_url"] = f"redis://127.0.0.1:{decided['redis_port']}/0"
    decided["triton_url"] = f"127.0.0.1:{decided['triton_grpc_port']}"
    decided["orthanc_url"] = f"http://127.0.0.1:{decided['orthanc_http_port']}"
    environment = {f"SENTINODE_{name.upper()}": str(value) for name, value in decided.items()}
    return load_settings(**decided), environment


def write_stack_env(state: StateDir, environment: dict[str, str]) -> None:
    """Keep the environment for other shells: `set -a; . state/stack.env; sentinode status`."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in sorted(environment.items())]
    state.stack_env.write_text("".join(lines), encoding="utf-8")


def write_destinations(settings: Settings) -> None:
    """Write the one destination of the embedded stack: its own Orthanc, by STOW-RS."""
    orthanc = {
        "name": "orthanc",
        "protocol": "stow",
        "url": f"{settings.orthanc}/dicom-web",
        "kinds": ["SEG", "SR"],
        "profile": "ohif",
        "confirm": "qido",
    }
    text = yaml.safe_dump({"destinations": [orthanc]}, sort_keys=False)
    note = "# Written at every start; to use your own file, name it in SENTINODE_DESTINATIONS.\n"
    StateDir(settings.state_dir).destinations.write_text(note + text, encoding="utf-8")
