"""The turn among processes: one at a time, and never in the way."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

from node.store.turn import FileTurn


def _hold(path: Path, pipe: Connection) -> None:
    with FileTurn(path):
        pipe.send("taken")
        pipe.recv()


def test_another_process_waits_until_the_turn_is_given_back(tmp_path: Path) -> None:
    """Whoever comes second gets it as soon as the first lets go, or dies."""
    context = multiprocessing.get_context("spawn")
    for ending in ("gives it back", "is killed"):
        ours, theirs = context.Pipe()
        other = context.Process(target=_hold, args=(tmp_path / "turn", theirs))
        other.start()
        assert ours.recv() == "taken"
        third = context.Process(target=_hold, args=(tmp_path / "turn", theirs))
        third.start()
        assert not ours.poll(0.5), "both have it"
        if ending == "is killed":
            other.kill()
        else:
            ours.send("go")
        began = time.monotonic()
        assert ours.poll(20)
        assert ours.recv() == "taken"
        assert time.monotonic() - began < 10
        ours.send("go")
        for process in (other, third):
            process.join()


def test_without_a_lock_file_writers_are_not_held_up(tmp_path: Path) -> None:
    """A folder that is not there costs the courtesy, not the transaction."""
    turn = FileTurn(tmp_path / "missing" / "turn")
    with turn:
        pass
    turn.close()
