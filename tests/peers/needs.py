"""What a test cannot run without."""

from __future__ import annotations

import os

import pytest

# Half a minute and more each, and CI has 25.
slow = pytest.mark.skipif(
    "SENTINODE_FAULT_SECONDS" not in os.environ, reason="takes long: make test-slow"
)


def need(missing: str | None) -> None:
    """Skip with this reason, which says what to install; None: nothing is missing."""
    if missing:
        pytest.skip(missing)
