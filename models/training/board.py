"""The run as TensorBoard shows it: `tensorboard --logdir OUT`.

In: named numbers at a step. Out: event files in one folder. What must hold: a resumed run goes on
in the same curves; what an interrupted one had written beyond its checkpoint is hidden
(`purge_step`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


class Board:
    """Writes to `folder`; None writes nothing, so that the caller needs no second path."""

    def __init__(self, folder: Path | None, step: int) -> None:
        self._writer: SummaryWriter | None = None
        if folder is not None:
            self._writer = SummaryWriter(str(folder), purge_step=step if step else None)

    def scalars(self, group: str, facts: Mapping[str, float], step: int) -> None:
        """One point of each curve `group/name`."""
        if self._writer is None:
            return
        for name, value in facts.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Flush; further calls write nothing."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
