"""A process that can start no threads for a while, as one at its limit of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# More than there are addresses.
_NO_ROOM_BYTES = 1 << 47


@contextmanager
def no_threads() -> Iterator[None]:
    """No thread of this process starts another inside the block."""
    before = threading.stack_size(_NO_ROOM_BYTES)
    try:
        yield
    finally:
        threading.stack_size(before)
