"""One thread per test: on tensors this small, threads wait for each other more than they work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Give torch one thread for the length of the test."""
    torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
