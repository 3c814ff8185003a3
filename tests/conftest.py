"""What every test may use: the real peers, and the folder of real data where there is one."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.association import Association

from node.upper_layer.requestor import hear_answers

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


@pytest.fixture(autouse=True, scope="session")
def no_answer_lost() -> Iterator[None]:
    """Have every sender that a test makes of pynetdicom hear all answers.

    As it comes, its loop now and then takes an answer from the call that waits for it, and a
    rejection that comes before the caller looks is an abort to it. The node's own calls see to that
    themselves.
    """
    associate = AE.associate

    def hearing(
        self: AE, *args: Any, evt_handlers: Sequence[tuple[Any, ...]] = (), **more: Any
    ) -> Association:
        handlers = [*evt_handlers]
        if str(sys._getframe(1).f_globals["__name__"]).startswith("tests."):
            handlers.append((evt.EVT_CONN_OPEN, hear_answers))
        return associate(self, *args, evt_handlers=handlers, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AE, "associate", hearing)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data: `$SENTINODE_DATA`, else `../shared/data`; else skip."""
    folder = Path(os.environ.get("SENTINODE_DATA", _REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder; set SENTINODE_DATA")
    return folder
