"""What a stack says to an account that did not start it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from node.errors import ConfigurationError
from stack import supervisor
from stack.state import StateDir

_NOBODY = 65534


@contextmanager
def _another_account() -> Iterator[None]:
    root = os.geteuid() == 0
    if root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_another_accounts_stack_is_not_none(tmp_path: Path) -> None:
    """`down` must not say that nothing runs, nor `up` begin beside it."""
    state = StateDir(tmp_path)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(state.socket))
        listener.listen()
        state.socket.chmod(0)
        with _another_account(), pytest.raises(ConfigurationError, match="another account's"):
            supervisor.is_running(state)
