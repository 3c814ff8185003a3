"""Pauses grow, end at the longest, and differ."""

from __future__ import annotations

from node.backoff import pause
from node.settings import load_settings

SETTINGS = load_settings(retry_seconds=5, retry_max_seconds=60)


def test_a_pause_doubles_up_to_the_longest() -> None:
    """5, 10, 20, 40 and 60 s, each a fifth more or less; any number of failures is a number."""
    wanted = {1: 5, 2: 10, 3: 20, 4: 40, 5: 60, 6: 60, 100_000: 60}
    for failures, seconds in wanted.items():
        for _ in range(50):
            assert 0.8 * seconds <= pause(failures, SETTINGS).total_seconds() <= 1.2 * seconds


def test_pauses_differ() -> None:
    """What failed together does not come back together."""
    assert len({pause(3, SETTINGS) for _ in range(20)}) > 10
