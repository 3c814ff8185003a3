"""Many inputs from one seed: `python -m tests.fuzz.run --inputs 1000000 --seed 7`.

Stops at the first broken promise and prints how to repeat it. The shares of the targets follow from
what an input costs: whole sessions over TCP are a thousand times dearer than a command set.
"""

from __future__ import annotations

import argparse
import logging
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import FrameType

from node.logs import configure_logs
from tests.fuzz.layers import TARGETS, header
from tests.fuzz.node import Node, converse, running_node

# Of all inputs, by target; `session` gets the rest.
_SHARES = {
    "stream": 0.45,
    "commands": 0.20,
    "header": 0.10,
    "note": 0.05,
    "multipart": 0.05,
    "provider": 0.12,
}
# An input that takes longer is a hang; the node's own deadlines are 1 and 2 seconds.
LONGEST_SECONDS = 30
# What a million inputs may add to the process: caches, no leak.
_GROWTH_KB = 64 * 1024
_CHECK_EVERY = 1000


def number_of(target: str, inputs: int) -> int:
    """How many of all inputs a target gets."""
    if target == "session":
        return inputs - sum(number_of(each, inputs) for each in _SHARES)
    return int(inputs * _SHARES[target])


def run_layer(target: str, count: int, seed: str, folder: Path) -> None:
    """Inputs for one layer. Raises what broke."""
    give: Callable[[Random], object] = TARGETS[target]
    if target == "header":
        give = lambda random: header(random, folder=folder)  # noqa: E731
    for position in range(count):
        _one(lambda random: give(random), f"{seed}:{target}:{position}")


def run_sessions(count: int, seed: str, folder: Path) -> None:
    """Whole sessions with a receiver, which is looked at again and again. Raises what broke."""
    with running_node(folder) as node:
        for position in range(50):
            converse(node, Random(f"warm:{position}"))
        node.settle_down()
        for position in range(count):
            _one(lambda random: converse(node, random), f"{seed}:session:{position}")
            _look_at(node, position)
        node.check()


def _look_at(node: Node, position: int) -> None:
    if node.raised or position % _CHECK_EVERY == 0:
        node.check()


def _one(give: Callable[[Random], object], name: str) -> None:
    signal.alarm(LONGEST_SECONDS)
    try:
        give(Random(name))
    except BaseException:
        print(f"\nbroken by input {name!r}", file=sys.stderr)
        raise
    finally:
        signal.alarm(0)


def _hangs(_signal: int, _frame: FrameType | None) -> None:
    raise AssertionError(f"an input took more than {LONGEST_SECONDS} s")


def main() -> None:
    """Run all targets and print what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", default=str(time.time_ns()))
    parser.add_argument("--targets", default=",".join([*_SHARES, "session"]))
    arguments = parser.parse_args()
    # Peers' mistakes are logged as they are in the node; here they would be a million lines.
    configure_logs("CRITICAL")
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, _hangs)
    print(f"seed {arguments.seed}", flush=True)
    for target in arguments.targets.split(","):
        count, begun = number_of(target, arguments.inputs), time.monotonic()
        memory_kb = 0
        with tempfile.TemporaryDirectory(prefix="sentinode-fuzz-") as name:
            run = run_sessions if target == "session" else _layer(target)
            run(min(count, 1000), f"{arguments.seed}+", Path(name, "warm"))
            memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            run(count, arguments.seed, Path(name, "run"))
        growth_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb
        seconds = time.monotonic() - begun
        print(f"{target}: {count} inputs, {seconds:.0f} s, +{growth_kb} kB", flush=True)
        assert growth_kb < _GROWTH_KB, "memory grows"


def _layer(target: str) -> Callable[[int, str, Path], None]:
    def run(count: int, seed: str, folder: Path) -> None:
        folder.mkdir()
        run_layer(target, count, seed, folder)

    return run


if __name__ == "__main__":
    main()
