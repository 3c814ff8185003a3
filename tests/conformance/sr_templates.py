"""Walks an SR content tree by template tables that stand in a document (PS3.16 section 6).

Knows nothing of the encoder: rows come from the tables of a Markdown page, codes of context groups
from pydicom. Templates are read as non-extensible with significant order: what no row takes, or
takes too late, is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

_HEADING = re.compile(r"### TID (\d+) ")
_CODE = re.compile(r"\(([^,]+), ([^,)]+)(?:, [^)]*)?\)")
_ONE_OF = re.compile(r"one of rows ([\d, ]+)")


@dataclass(slots=True)
class Row:
    """One row of a template table, with the rows that stand below it."""

    template: str
    label: str
    level: int
    relationship: str
    value_type: str
    name: str
    minimum: int
    maximum: float
    requirement: str
    condition: str
    value: str
    written: str
    below: list[Row] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"TID {self.template} row {self.label}"

    @property
    def included(self) -> str | None:
        """The template that the row includes."""
        return self.name.removeprefix("TID ") if self.value_type == "INCLUDE" else None


@dataclass(frozen=True, slots=True)
class Situation:
    """What a condition may look at: the item above the row's, and whatever the test knows."""

    parent: Dataset | None
    known: Mapping[str, object]


Condition = Callable[[Situation], bool]


def read_templates(page: Path) -> dict[str, list[Row]]:
    """The tables under the headings `### TID n`, as trees of rows."""
    templates: dict[str, list[Row]] = {}
    rows: list[Row] | None = None
    stack: list[Row] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        heading = _HEADING.match(line)
        if heading:
            rows, stack = templates.setdefault(heading[1], []), []
        elif line.startswith("#"):
            rows = None
        elif rows is not None and re.match(r"\| \d", line):
            row = _row(next(reversed(templates)), line)
            stack = stack[: row.level]
            (stack[-1].below if stack else rows).append(row)
            stack.append(row)
    return templates


def _row(template: str, line: str) -> Row:
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    label, level, relationship, value_type, name, times, requirement, condition, value, text = cells
    low, _, high = times.partition("-")
    return Row(
        template=template,
        label=label,
        level=int(level),
        relationship=relationship,
        value_type=value_type,
        name=name,
        minimum=int(low),
        maximum=float("inf") if high == "n" else int(high or low),
        requirement=requirement,
        condition=condition,
        value=value,
        written=re.split(r"[ :,]", text)[0],
    )


class Walk:
    """One walk over one object; `problems` is empty when every row is satisfied."""

    def __init__(
        self,
        templates: Mapping[str, list[Row]],
        conditions: Mapping[str, Condition],
        document: Dataset,
        known: Mapping[str, object],
    ) -> None:
        self.templates = templates
        self.conditions = conditions
        self.document = document
        self.known = known
        self.problems: list[str] = []
        self.taken: set[str] = set()

    def root(self, template: str) -> list[str]:
        """Walk the whole document. Returns the problems."""
        (row,) = self.templates[template]
        self._check_item(row, self.document)
        return self.problems

    def _check_item(self, row: Row, item: Dataset) -> None:
        self.taken.add(row.place)
        self.problems += [f"{row.place}: {text}" for text in self._wrong_values(row, item)]
        children = list(item.get("ContentSequence") or ())
        end = self._match(row.below, children, 0, item, "")
        self.problems += [
            f"{row.place}: {_named(child)} fits no row, or stands out of order"
            for child in children[end : end + 1]
        ]

    def _match(
        self, rows: Sequence[Row], items: Sequence[Dataset], at: int, parent: Dataset, outer: str
    ) -> int:
        """Let each row in turn take the items it can. Returns how far they got."""
        counts: dict[str, int] = {}
        for row in rows:
            relationship = row.relationship or outer
            required, allowed = self._demands(row, parent)
            count = 0
            while allowed and at < len(items) and count < row.maximum:
                if not self._fits(row, items[at], relationship):
                    break
                if row.included is None:
                    self._check_item(row, items[at])
                    at += 1
                else:
                    self.taken.add(row.place)
                    inner = self.templates[row.included]
                    at = self._match(inner, items, at, parent, relationship)
                count += 1
            counts[row.label] = count
            self._check_count(row, count, required)
        self._check_choices(rows, counts)
        return at

    def _fits(self, row: Row, item: Dataset, relationship: str) -> bool:
        """Whether the row's concept name, value type and relationship are those of the item."""
        if row.included is not None:
            inner = self.templates.get(row.included, [])
            return any(self._fits(each, item, each.relationship or relationship) for each in inner)
        target = item
        if relationship.startswith("R-"):
            path = item.get("ReferencedContentItemIdentifier")
            if path is None:
                return False
            target = self._item_at(path)
        elif "ReferencedContentItemIdentifier" in item:
            return False
        return (
            item.get("RelationshipType", "") == relationship.removeprefix("R-")
            and target.get("ValueType") == row.value_type
            and _has_name(target, row.name)
        )

    def _item_at(self, path: Sequence[int]) -> Dataset:
        item = self.document
        for number in list(path)[1:]:
            item = item.ContentSequence[number - 1]
        return item

    def _check_count(self, row: Row, count: int, required: bool) -> None:
        if count == 0 and required:
            self.problems.append(f"{row.place}: missing")
        if 0 < count < row.minimum:
            self.problems.append(f"{row.place}: {count} are too few")
        if (count == 0 and row.written == "always") or (count and row.written == "never"):
            self.problems.append(f"{row.place}: the page says {row.written}, {count} are there")

    def _demands(self, row: Row, parent: Dataset) -> tuple[bool, bool]:
        """Whether the row must be there, and whether it may."""
        if row.requirement == "M":
            return True, True
        if not row.condition or _ONE_OF.match(row.condition):
            return False, True
        holds = self.conditions[row.condition](Situation(parent, self.known))
        # "Shall be present if" leaves the other case open; the rest are "present only if".
        is_exclusive = not row.condition.endswith(("is in the image", "has items"))
        return row.requirement == "MC" and holds, holds or not is_exclusive

    def _check_choices(self, rows: Sequence[Row], counts: Mapping[str, int]) -> None:
        for row in rows:
            choice = _ONE_OF.match(row.condition)
            if choice and not any(
                count and label.split("-")[0] in choice[1].split(", ")
                for label, count in counts.items()
            ):
                self.problems.append(f"{row.place}: {row.condition} must be there")

    def _wrong_values(self, row: Row, item: Dataset) -> Iterator[str]:
        if "ReferencedContentItemIdentifier" in item:
            return
        for constraint in filter(None, row.value.split("; ")):
            if not _satisfies(item, constraint):
                yield f"{_named(item)} is not {constraint}"


def _satisfies(item: Dataset, constraint: str) -> bool:
    kind, _, rest = constraint.partition(" ")
    if kind == "unit":
        unit = _code_in(item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0])
        return _in_group(unit, rest) if rest.startswith("CID") else unit.value == rest
    if kind == "graphic":
        return str(item.GraphicType) == rest
    if kind == "CID":
        return _in_group(_code_in(item.ConceptCodeSequence[0]), constraint)
    if constraint == "0 - 100":
        return 0 <= float(item.MeasuredValueSequence[0].NumericValue) <= 100
    expected = _CODE.match(constraint)
    assert expected, f"a constraint that nobody reads: {constraint}"
    return _is(_code_in(item.ConceptCodeSequence[0]), expected)


def _has_name(item: Dataset, name: str) -> bool:
    sequence = item.get("ConceptNameCodeSequence")
    if not name:
        return True
    if not sequence:
        return False
    concept = _code_in(sequence[0])
    expected = _CODE.match(name)
    return _is(concept, expected) if expected else _in_group(concept, name)


def _is(code: Code, expected: re.Match[str]) -> bool:
    return (code.value, code.scheme_designator) == (expected[1], expected[2])


def _in_group(code: Code, name: str) -> bool:
    """Whether the code is in the context group; a name that is no group has no codes."""
    return (code.value, code.scheme_designator) in _group(name)


@cache
def _group(name: str) -> frozenset[tuple[str, str]]:
    if not name.startswith("CID "):
        return frozenset()
    concepts = getattr(codes, f"cid{name.removeprefix('CID ')}").concepts.values()
    return frozenset((concept.value, concept.scheme_designator) for concept in concepts)


def _code_in(item: Dataset) -> Code:
    return Code(str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning))


def _named(item: Dataset) -> str:
    sequence = item.get("ConceptNameCodeSequence")
    name = f'"{sequence[0].CodeMeaning}"' if sequence else "an item without a name"
    return f"{item.get('RelationshipType', '')} {item.get('ValueType', 'by reference')} {name}"
