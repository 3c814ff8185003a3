"""One Compose project of this repository, driven through the command line of Docker.

What must hold: a container is killed as a crash would kill it (SIGKILL to its first process from
outside), since `docker kill` counts as a wish of the user and suspends the restart policy.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Loading models on a loaded machine of two cores takes minutes.
UP_SECONDS = 900.0


@dataclass(frozen=True)
class Project:
    """`profile`: cpu, gpu, jetson. `environment`: on top of ours. `files`: beside the main one."""

    profile: str
    name: str = "sentinode-test"
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Path] = ()

    def compose(self, *words: str, timeout: float = UP_SECONDS) -> str:
        """Run `docker compose`; its standard output. Raises CalledProcessError."""
        argv = ["docker", "compose", "--project-name", self.name]
        for file in (ROOT / "docker-compose.yml", *self.files):
            argv += ["--file", str(file)]
        return run(*argv, *words, environment=self.environment_of_commands(), timeout=timeout)

    def up(self) -> float:
        """Start everything, wait for health; seconds taken."""
        began = time.monotonic()
        self.compose("up", "--detach", "--wait", "--pull", "never", "--no-build")
        return time.monotonic() - began

    @contextmanager
    def removed_afterwards(self, keep: bool) -> Iterator[None]:
        """Remove everything when the block ends, however it ends, unless it is to be kept."""
        try:
            yield
        finally:
            if not keep:
                self.down()

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def services(self) -> list[str]:
        """Those with a container that runs."""
        return sorted(self.compose("ps", "--services", "--status", "running").split())

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return self.compose("ps", "--all", "--quiet", service).split()[0]

    def kill(self, service: str) -> None:
        """End the container's first process by SIGKILL; Docker then restarts it."""
        os.kill(int(inspect(self.container(service), "{{.State.Pid}}")), signal.SIGKILL)

    def restarts(self, service: str) -> int:
        """How often Docker has started the container again."""
        return int(inspect(self.container(service), "{{.RestartCount}}"))

    def healthy(self, service: str) -> bool:
        """Whether its health check says so now."""
        return inspect(self.container(service), "{{.State.Health.Status}}") == "healthy"

    def environment_of_commands(self) -> dict[str, str]:
        """What `docker compose` is given."""
        return {**os.environ, "COMPOSE_PROFILES": self.profile, **self.environment}


def inspect(container: str, form: str) -> str:
    """One fact about a container or image."""
    return run("docker", "inspect", "--format", form, container).strip()


def image_megabytes(image: str) -> float:
    """Size of an image with its layers, unpacked, 10^6 bytes."""
    return int(inspect(image, "{{.Size}}")) / 1e6


def image_sizes(images: Sequence[str]) -> dict[str, float]:
    """By name."""
    return {image: round(image_megabytes(image)) for image in images}


def run(
    *argv: str,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 600.0,
) -> str:
    """Run a command; its standard output. Raises CalledProcessError, with its errors printed."""
    done = subprocess.run(
        argv,
        env=None if environment is None else dict(environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode != 0:
        print(done.stdout[-2000:], done.stderr[-4000:], flush=True)
        done.check_returncode()
    return done.stdout


def report(facts: object) -> None:
    """One line of JSON, at once."""
    print(json.dumps(facts), flush=True)
