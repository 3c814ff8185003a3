"""kill -9 at every system call of one C-STORE, SQLite's own included. Slow: `make test-slow`.

strace delivers the SIGKILL as the call is entered. What must hold is told in test_kill_steps.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.dying import Dying, receiver
from tests.faults.test_kill_steps import SCENARIOS, prepared
from tests.stored import Objects, Sent, assert_sound, store_all

_CALLS = (
    "pwrite64,fdatasync,fsync,write,link,linkat,rename,renameat,renameat2,unlink,openat,mkdir,"
    "ftruncate,fallocate,sendto,close"
)
# A batch of three files has some eighty of them.
_MOST_CALLS = 200

pytestmark = [
    pytest.mark.skipif(
        "SENTINODE_FAULT_SECONDS" not in os.environ, reason="takes minutes: make test-slow"
    ),
    pytest.mark.skipif(
        shutil.which("strace") is None, reason="strace is missing: apt-get install strace"
    ),
    pytest.mark.timeout(900),
]


@contextmanager
def traced(dying: Dying, at: int) -> Iterator[None]:
    """Kill the process at the `at`-th of the calls that one of its threads makes."""
    argv = ["strace", "-f", "-p", str(dying.process.pid), "-o", os.devnull]
    argv += ["-e", f"trace={_CALLS}", "-e", f"inject={_CALLS}:signal=SIGKILL:when={at}"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        # It says so once it is attached to all threads.
        said = tracer.stderr.readline()
        assert "attached" in said, said
        yield
        tracer.terminate()


@pytest.mark.parametrize(
    "scenario",
    ["a small object", "a large object", "a batch of medium ones", "a batch of large ones"],
)
def test_kill_at_every_system_call(scenario: str, tmp_path: Path) -> None:
    """Killed at the first, the second, ... until there is no such call."""
    values = prepared(tmp_path)
    size_px, count, send = SCENARIOS[scenario]
    objects, port = Objects(size_px), values["dicom_port"]
    acknowledged: list[Sent] = []
    unanswered: list[Sent] = []
    for at in range(1, _MOST_CALLS):
        with receiver(values, tmp_path) as dying:
            assert_sound(values, acknowledged)
            assert set(store_all(port, unanswered).values()) <= {0x0000}
            acknowledged += unanswered
            sent = [objects.new() for _ in range(count)]
            with traced(dying, at):
                answered = send(port, sent)
                killed = dying.killed()
        assert set(answered.values()) <= {0x0000}
        acknowledged += [each for each in sent if each.sop_instance_uid in answered]
        unanswered = [each for each in sent if each.sop_instance_uid not in answered]
        if not killed:
            break
    assert not killed
    assert at > 3
    assert_sound(values, acknowledged)
