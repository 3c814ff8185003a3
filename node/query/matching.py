"""Attribute matching of C-FIND (PS3.4 C.2.2.2): what one key of an identifier lets through.

In: an element of the identifier. Out: a `Key` with two tests of the same thing: `accepts`, exact,
in Python; and `condition` for a column, in SQL, which may let too much through but never too
little. Two, because databases disagree: SQLite ignores case in LIKE, and neither folds the case of
a name outside ASCII in every configuration.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from sqlalchemy import ColumnElement, SQLColumnExpression, and_, func, or_, true

from node.errors import CannotUnderstandError
from node.header import without_escapes
from node.identifiers import is_uid

# Longer than any value that a column holds; an identifier may be megabytes.
_LONGEST_VALUE = 1024
_MOST_VALUES = 10_000
# Dates, names and patterns stand in the SQL one by one; SQLite takes a thousand.
_MOST_ALTERNATIVES = 500
# What old values hold between their parts: YYYY.MM.DD and HH:MM:SS of before 1993 (PS3.5 6.2).
_SEPARATORS = {"DA": ".", "TM": ":"}
_WITHOUT_WILDCARDS = ("UI", "DA", "TM", "IS")
_NOT_MATCHED = ("SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN", "AT")
_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")


@dataclass(frozen=True)
class Key:
    """One attribute of an identifier. Without values it only asks for the attribute."""

    keyword: str
    VR: str
    values: tuple[str, ...] = ()
    # It has a value of a VR that is not matched here, as a sequence has.
    is_passed_over: bool = False

    def accepts(self, found: Sequence[str]) -> bool:
        """Whether any value of an attribute matches any value of this key."""
        if not self.values:
            return True
        return any(self._accepts(value) for value in found)

    def condition(self, column: SQLColumnExpression[str]) -> ColumnElement[bool]:
        """An SQL test that accepts all that `accepts` does."""
        if not self.values or self.VR in ("TM", "IS"):
            return true()
        if self.VR == "DA":
            return or_(*(_within(column, low, high) for low, high in self._ranges))
        if self.VR == "PN":
            return or_(*(_like(column, _any_group(value)) for value in self.values))
        exact = [value for value in self.values if not self._is_pattern(value)]
        patterns = [value for value in self.values if self._is_pattern(value)]
        alternatives = [_like(column, value) for value in patterns]
        return or_(column.in_(exact), *alternatives) if exact else or_(*alternatives)

    @property
    def is_one_by_one(self) -> bool:
        """Whether its values are tested one after the other, and not looked up."""
        return self.VR in ("DA", "TM", "PN") or any(map(self._is_pattern, self.values))

    def _is_pattern(self, value: str) -> bool:
        return self.VR not in _WITHOUT_WILDCARDS and ("*" in value or "?" in value)

    def _accepts(self, found: str) -> bool:
        if self.VR in _SEPARATORS:
            bare = found.replace(_SEPARATORS[self.VR], "")
            return any(_lies_within(bare, low, high) for low, high in self._ranges)
        if self.VR == "IS":
            return any(_number(found) == _number(value) for value in self.values)
        if self.VR == "PN":
            return self._accepts_name(found)
        if self.VR == "UI":
            return found in self.values
        return any(pattern.match(found) for pattern in self._patterns)

    def _accepts_name(self, found: str) -> bool:
        candidates = {_plain_name(part) for part in (found, *found.split("="))}
        if any(pattern.match(name) for pattern in self._patterns for name in candidates):
            return True
        groups = _plain_name(found).split("=")
        return any(
            len(wanted) <= len(groups)
            and all(
                pattern is None or pattern.match(group)
                for pattern, group in zip(wanted, groups, strict=False)
            )
            for wanted in self._groups
        )

    @cached_property
    def _ranges(self) -> tuple[tuple[str, str], ...]:
        return tuple(_ends(value.replace(_SEPARATORS[self.VR], "")) for value in self.values)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        fold = _plain_name if self.VR == "PN" else str
        return tuple(_pattern(fold(value)) for value in self.values)

    @cached_property
    def _groups(self) -> tuple[tuple[re.Pattern[str] | None, ...], ...]:
        """Names with component groups, each group on its own; one that is empty asks nothing."""
        names = [_plain_name(value).split("=") for value in self.values if "=" in value]
        return tuple(tuple(_pattern(group) if group else None for group in name) for name in names)


def matching_key(element: DataElement) -> Key:
    """The key that an element of an identifier is. Raises CannotUnderstandError."""
    element = _of_its_vr(element)
    unmatched = Key(element.keyword, str(element.VR))
    if unmatched.VR in _NOT_MATCHED:
        return replace(unmatched, is_passed_over=_says_something(element))
    value = element.value
    values = (
        [str(each) for each in value] if _is_list(value) else ["" if value is None else str(value)]
    )
    if len(values) > _MOST_VALUES or max(map(len, values), default=0) > _LONGEST_VALUE:
        raise CannotUnderstandError(f"{element.keyword} is too long")
    # NUL is dropped from what is stored as well; PostgreSQL takes none.
    stripped = [without_escapes(each).replace("\0", "").strip(" ") for each in values]
    if any(not each.strip("*") for each in stripped):
        # Empty or only asterisks: universal matching (C.2.2.2.3 and C.2.2.2.4).
        return unmatched
    key = replace(unmatched, values=tuple(stripped))
    _check(key)
    return key


def _of_its_vr(element: DataElement) -> DataElement:
    """A value of more than 64 kB, as a list of a thousand UIDs is, comes as UN (PS3.5 6.2.2)."""
    value, vr = element.value, dictionary_VR(element.tag) if element.keyword else "UN"
    if element.VR != "UN" or not isinstance(value, bytes) or vr in _NOT_MATCHED or " " in vr:
        return element
    return convert_raw_data_element(
        RawDataElement(element.tag, vr, len(value), value, 0, False, True)
    )


def _check(key: Key) -> None:
    if key.is_one_by_one and len(key.values) > _MOST_ALTERNATIVES:
        raise CannotUnderstandError(f"{key.keyword} has more than {_MOST_ALTERNATIVES} values")
    if key.VR == "DA" and not all(_is_range(value, ".", _DATE) for value in key.values):
        raise CannotUnderstandError(f"{key.keyword} is no date YYYYMMDD and no range of dates")
    if key.VR == "TM" and not all(_is_range(value, ":", _TIME) for value in key.values):
        raise CannotUnderstandError(f"{key.keyword} is no time HHMMSS and no range of times")
    if key.VR == "UI" and not all(map(is_uid, key.values)):
        raise CannotUnderstandError(f"{key.keyword} is not a UID")


def _says_something(element: DataElement) -> bool:
    """Whether an element that is not matched asks for more than to be in the answer."""
    if element.VR != "SQ":
        return not element.is_empty
    inner = (each for item in element.value or () for each in item)
    return any(bool(each.value) if each.VR == "SQ" else not each.is_empty for each in inner)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_range(value: str, separator: str, single: re.Pattern[str]) -> bool:
    low, *high = value.replace(separator, "").split("-")
    ends = [end for end in (low, *high) if end]
    return len(high) < 2 and bool(ends) and all(map(single.fullmatch, ends))


def _ends(value: str) -> tuple[str, str]:
    """First and last date or time of a range (C.2.2.2.5); "" is open."""
    low, dash, high = value.partition("-")
    return (low, high) if dash else (low, low)


def _lies_within(found: str, low: str, high: str) -> bool:
    """Whether a date or time lies in a range, whose ends may leave out their finer parts."""
    return bool(found) and low <= found and (not high or found[: len(high)] <= high)


def _within(column: SQLColumnExpression[str], low: str, high: str) -> ColumnElement[bool]:
    return and_(column >= low if low else column != "", *([column <= high] if high else []))


def _like(column: SQLColumnExpression[str], value: str) -> ColumnElement[bool]:
    escaped = re.sub(r"([\\%_])", r"\\\1", value)
    wild = re.sub(r"[^\x00-\x7f]+|\*+", "%", escaped).replace("?", "_")
    return func.lower(column).like(wild.lower(), escape="\\")


def _pattern(glob: str) -> re.Pattern[str]:
    # fnmatch makes atomic groups: a hostile pattern costs no more than a friendly one.
    return re.compile(fnmatch.translate(glob.replace("[", "[[]")))


def _any_group(name: str) -> str:
    """A pattern for a value that holds this name in any of its component groups."""
    return f"*{_plain_name(name).replace('=', '*')}*"


def _plain_name(name: str) -> str:
    """A name in lower case without empty components at its end (PS3.5 6.2.1.1)."""
    return "=".join(group.strip().rstrip("^ ") for group in name.lower().split("=")).rstrip("=")


def _number(value: str) -> int | str:
    try:
        return int(value)
    except ValueError:
        return value
