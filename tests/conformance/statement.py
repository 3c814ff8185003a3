"""docs/conformance.md as data: its sections, and the rows of their tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "conformance.md"
_HEADING = re.compile(r"^#+ (\d+(?:\.\d+)*)\s+(.*)$")
_CODE = re.compile(r"\((\w+), (\w+)(?:, \"([^\"]+)\")?\)")
_STATUS = re.compile(r"\b(?:0x([0-9A-F]{4})|([0-9A-F]{4})H)\b")


@dataclass
class Section:
    """One numbered section. `rows`: of all its tables, without their heads. `text`: all of it."""

    number: str
    title: str
    rows: list[list[str]] = field(default_factory=list)
    text: str = ""

    def column(self, index: int) -> list[str]:
        """One cell of every row."""
        return [row[index] for row in self.rows]

    def row(self, first: str) -> list[str]:
        """The row that begins so."""
        (found,) = [row for row in self.rows if row[0].startswith(first)]
        return found

    @property
    def paragraphs(self) -> list[str]:
        """What is neither heading nor table nor tree."""
        text = re.sub(r"```.*?```", "", self.text, flags=re.DOTALL)
        blocks = [block.strip() for block in text.split("\n\n")]
        return [block for block in blocks if block and not block.startswith("|")]


@cache
def sections() -> dict[str, Section]:
    """Every numbered section, by its number."""
    found: dict[str, Section] = {}
    current: Section | None = None
    in_head = True
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        heading = _HEADING.match(line)
        if heading:
            current = found[heading[1]] = Section(heading[1], heading[2])
            in_head = True
            continue
        if current is None:
            continue
        current.text += line + "\n"
        if not line.startswith("|"):
            in_head = True
        elif set(line) <= set("|- "):
            in_head = False
        elif not in_head:
            current.rows.append(_cells(line))
    return found


def codes_in(text: str) -> set[tuple[str, str]]:
    """(value, scheme) of the codes written as (value, scheme, "meaning")."""
    return {(value, scheme) for value, scheme, _ in _CODE.findall(text)}


def statuses_in(text: str) -> set[int]:
    """Statuses written as 0xA700 or 0110H."""
    return {int(one or other, 16) for one, other in _STATUS.findall(text)}


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
