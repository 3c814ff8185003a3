"""What a test cannot run without."""

from __future__ import annotations

import pytest


def need(missing: str | None) -> None:
    """Skip with this reason, which says what to install; None: nothing is missing."""
    if missing:
        pytest.skip(missing)
