"""Honest senders in a process of their own, and how many objects the node acknowledged to them.

A process, because an attacker in the same one would take processor time from the sender that is to
be measured.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.datasets import mammogram
from tests.peers.raw import C_STORE_RQ, MAMMOGRAPHY, P_DATA, RawPeer, command, pdu, pdv
from tests.peers.wire import encoded

_FRAGMENT_BYTES = 65000
_SIZES_PX = {500_000: (512, 488), 10_000: (64, 78), 27_000_000: (4096, 3328)}
_MARK = b"9" * 20
# Element (0000,0900) of a command set, up to its value.
_STATUS = b"\0\0\0\x09\x02\0\0\0"


@dataclass(frozen=True)
class BusySender:
    """A running sender."""

    counts: Synchronized[int]

    def objects_per_second(self, windows: int = 4, window_seconds: float = 0.3) -> float:
        """How many objects the node acknowledged in a second: the median of several windows."""
        rates = []
        for _ in range(windows):
            count, begun = self.counts.value, time.monotonic()
            time.sleep(window_seconds)
            rates.append((self.counts.value - count) / (time.monotonic() - begun))
        return statistics.median(rates)

    def wait_for(self, count: int, seconds: float = 30.0) -> None:
        """Return once so many more objects are stored. Raises TimeoutError."""
        target, end = self.counts.value + count, time.monotonic() + seconds
        while self.counts.value < target:
            if time.monotonic() > end:
                raise TimeoutError(f"only {self.counts.value - target + count} objects stored")
            time.sleep(0.01)


@contextmanager
def busy_sender(
    port: int, source: str = "127.0.0.2", associations: int = 1, size_bytes: int = 500_000
) -> Iterator[BusySender]:
    """Send over so many associations until the block ends; entered when the first are stored."""
    context = multiprocessing.get_context("spawn")
    count: Synchronized[int] = context.Value("i", 0)
    process = context.Process(
        target=_send, args=(port, source, associations, size_bytes, count), daemon=True
    )
    process.start()
    sender = BusySender(count)
    try:
        sender.wait_for(associations)
        yield sender
    finally:
        process.kill()
        process.join()


def _send(
    port: int, source: str, associations: int, size_bytes: int, count: Synchronized[int]
) -> None:
    image = mammogram(size_px=_SIZES_PX[size_bytes])
    threads = [
        threading.Thread(
            target=_send_on_one, args=(port, source, number, _message(image), count), daemon=True
        )
        for number in range(associations)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def _message(image: Dataset) -> bytes:
    """One encoded C-STORE-RQ; of its instance UID the last digits are yet to be numbered."""
    image.SOPInstanceUID = f"{generate_uid()[:40].rstrip('.')}.{_MARK.decode()}"
    request = command(C_STORE_RQ, MAMMOGRAPHY, 1, image.SOPInstanceUID)
    content = encoded(image)
    parts = [content[at : at + _FRAGMENT_BYTES] for at in range(0, len(content), _FRAGMENT_BYTES)]
    pdus = [pdu(P_DATA, pdv(1, 2 * (part is parts[-1]), part)) for part in parts]
    return pdu(P_DATA, pdv(1, 3, request)) + b"".join(pdus)


def _send_on_one(
    port: int, source: str, number: int, message: bytes, count: Synchronized[int]
) -> None:
    head, tail = message[:4096], message[4096:]
    with contextlib.suppress(ConnectionError), RawPeer(port, source) as peer:
        peer.associate(MAMMOGRAPHY, calling=f"BUSY{number}")
        for serial in itertools.count():
            mark = b"9" + str(serial).zfill(len(_MARK) - 1).encode()
            peer.send(head.replace(_MARK, mark))
            peer.send(tail)
            kind, answer = peer.receive()
            if kind != P_DATA:
                return
            assert answer[answer.index(_STATUS) + len(_STATUS) :][:2] == b"\0\0", answer
            with count.get_lock():
                count.value += 1
