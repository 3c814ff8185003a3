"""What Triton loads, written from a `ModelSpec`: configuration, half-size weights, the runner."""

from __future__ import annotations

from pathlib import Path


def runner_path() -> Path:
    """The Python file that Triton's Python backend runs for each model (never imported here)."""
    return Path(__file__).with_name("runner.py")
