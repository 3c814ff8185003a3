"""What a person watching sees, and what a program reads afterwards.

In: facts at a step. Out: on a terminal a progress bar with the time left, elsewhere a short line
every few seconds; and one JSON object per line in `log.jsonl`.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

_TERMINAL_SECONDS = 0.5  # often enough to look alive
_PIPE_SECONDS = 10.0  # seldom enough that a log stays readable


class Progress:
    """Writes to standard error and to `path`; `label` names the model when several run at once."""

    def __init__(self, path: Path, label: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._label = label
        self._last = 0.0
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._bar = _bar(self._console) if sys.stderr.isatty() else None
        if self._bar is not None:
            self._task = self._bar.add_task(label, total=1.0, left="", facts="")
            self._bar.start()

    def line(
        self, step: int, share: float, elapsed_seconds: float, facts: Mapping[str, float]
    ) -> None:
        """Show a training step, unless one was shown a moment ago."""
        now = time.monotonic()
        if now - self._last < (_PIPE_SECONDS if self._bar is None else _TERMINAL_SECONDS):
            return
        self._last = now
        numbers = " ".join(f"{name} {value:.4g}" for name, value in facts.items())
        left = time_left(share, elapsed_seconds)
        if self._bar is None:
            self._say(f"[{self._label}] {share:4.0%}, {left}, step {step} {numbers}")
        else:
            text = f"step {step} {numbers}"
            self._bar.update(self._task, completed=share, left=left, facts=text)
        self.record("train", step=step, progress=share, **facts)

    def event(self, kind: str, **facts: Any) -> None:
        """Show and log something that happens seldom: a validation, a checkpoint, the end."""
        numbers = " ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in facts.items()
        )
        self._say(f"[{self._label}] {kind}: {numbers}")
        self.record(kind, **facts)

    def record(self, kind: str, **facts: Any) -> None:
        """Append one JSON line."""
        entry = {"kind": kind, "unix_seconds": round(time.time(), 1), **plain(facts)}
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def close(self) -> None:
        """Give the terminal back."""
        if self._bar is not None:
            self._bar.stop()

    def _say(self, text: str) -> None:
        if self._bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._console.print(text, markup=False)


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON can say it: null for a figure that is undefined or endless."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in facts.items()
    }


def time_left(share: float, elapsed_seconds: float) -> str:
    """How long the rest will take if it goes on as it did: "1 h 05 min left"."""
    if share <= 0.0:
        return "time left not known yet"
    seconds = elapsed_seconds * (1.0 - share) / share
    if seconds < 60.0:
        return f"{seconds:.0f} s left"
    hours, minutes = divmod(round(seconds / 60.0), 60)
    return f"{hours} h {minutes:02d} min left" if hours else f"{minutes} min left"


def _bar(console: Console) -> RichProgress:
    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[facts]}"),
        console=console,
    )
