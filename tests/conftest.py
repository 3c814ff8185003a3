"""What every test may use: the real peers, and the folder of real data where there is one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.peers.fixtures"]

_REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Undo what a command that was called in this process has set up for its own log."""
    logger = logging.getLogger("sentinode")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data: `$SENTINODE_DATA`, else `../shared/data`; else skip."""
    folder = Path(os.environ.get("SENTINODE_DATA", _REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder; set SENTINODE_DATA")
    return folder
