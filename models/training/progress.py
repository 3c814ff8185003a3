"""What a person watching sees, and what a program reads afterwards.

In: facts at a step. Out: one short line on standard error (rewritten in place on a terminal,
appended every few seconds elsewhere) and one JSON object per line in `log.jsonl`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TERMINAL_SECONDS = 0.5  # often enough to look alive
_PIPE_SECONDS = 10.0  # seldom enough that a log stays readable


class Progress:
    """Writes to standard error and to `path`; `label` names the model when several run at once."""

    def __init__(self, path: Path, label: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._label = label
        self._in_place = sys.stderr.isatty()
        self._last = 0.0

    def line(self, step: int, share: float, facts: Mapping[str, float]) -> None:
        """Show a training step, unless one was shown a moment ago."""
        now = time.monotonic()
        if now - self._last < (_TERMINAL_SECONDS if self._in_place else _PIPE_SECONDS):
            return
        self._last = now
        numbers = " ".join(f"{name} {value:.4g}" for name, value in facts.items())
        text = f"[{self._label}] {share:4.0%} step {step} {numbers}"
        end = "\x1b[K\r" if self._in_place else "\n"
        print(text, end=end, file=sys.stderr, flush=True)
        self.record("train", step=step, progress=share, **facts)

    def event(self, kind: str, **facts: Any) -> None:
        """Show and log something that happens seldom: a validation, a checkpoint, the end."""
        numbers = " ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in facts.items()
        )
        print(f"[{self._label}] {kind}: {numbers}", file=sys.stderr, flush=True)
        self.record(kind, **facts)

    def record(self, kind: str, **facts: Any) -> None:
        """Append one JSON line."""
        entry = {"kind": kind, "unix_seconds": round(time.time(), 1), **facts}
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
