"""What processes share: limits hold for all of them together."""

from __future__ import annotations

from node.upper_layer.sharing import Tally, share


def test_hosts_are_counted_over_all_processes() -> None:
    """Each process sees what the others serve; what it gives back is free for all."""
    shared = share([], 2)
    one, other = Tally(shared.of(0)), Tally(shared.of(1))
    assert one.enter("10.0.0.1") == (1, 1)
    assert other.enter("10.0.0.1") == (2, 2)
    assert other.enter("10.0.0.2") == (1, 3)
    one.leave("10.0.0.1")
    assert one.enter("10.0.0.2") == (2, 3)


def test_what_a_dead_process_served_is_forgotten() -> None:
    """The one that begins in its place serves nobody yet; the others' counts stay."""
    shared = share([], 2)
    dead, alive = Tally(shared.of(0)), Tally(shared.of(1))
    for host in ("10.0.0.1", "10.0.0.2"):
        dead.enter(host)
        alive.enter(host)
    again = Tally(shared.of(0))
    assert again.enter("10.0.0.1") == (2, 3)


def test_a_process_alone_counts_for_itself() -> None:
    """Without others nothing is shared."""
    tally = Tally()
    assert tally.enter("::1") == (1, 1)
    tally.leave("::1")
    assert tally.enter("::1") == (1, 1)
    assert Tally().enter("::1") == (1, 1)
