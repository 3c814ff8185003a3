"""One thread per test."""

from __future__ import annotations

from tests.unit.models.one_thread import one_thread

__all__ = ["one_thread"]
