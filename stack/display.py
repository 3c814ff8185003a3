"""What people see while the stack starts: one line for each part, until all answer."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from node.settings import Settings
from stack.health import Part, parts


class StartDisplay:
    """A table that fills while the parts come up; on a pipe it is printed once, at the end."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._parts = parts(settings)
        self._up: set[str] = set()
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        if not self._live.console.is_terminal:
            self._live.console.print()  # on a pipe, rich leaves the last line open

    def seen(self, part: Part, up: bool) -> None:
        """Take note of what a part said."""
        if up:
            self._up.add(part.program)

    def _table(self) -> Table:
        table = Table("part", "address", "state", title="Sentinode")
        for part in self._parts:
            up = part.program in self._up
            table.add_row(part.title, part.address, "[green]up" if up else "[yellow]starting")
        return table
