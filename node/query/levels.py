"""What an identifier of Query/Retrieve asks for: level, unique keys, matching keys (PS3.4 C.4).

In: the data set of a C-FIND, C-MOVE or C-GET request of the Study Root. Out: a `Query` or a
`Selection` that obeys the hierarchy (C.4.1.2.1, C.4.2.1.4): one UID at every level above the asked
one. Raises DataSetMismatchError (0xA900) for what breaks that, CannotUnderstandError (0xC000) for
values that mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag
from sqlalchemy import ColumnElement, true
from sqlalchemy.orm import InstrumentedAttribute

from node.errors import CannotUnderstandError, DataSetMismatchError
from node.query.matching import Key, matching_key

LEVELS = ("STUDY", "SERIES", "IMAGE")
UNIQUE_KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

# About the identifier itself, or said in every answer anyway; none selects anything.
_NOT_KEYS = ("SpecificCharacterSet", "QueryRetrieveLevel", "TimezoneOffsetFromUTC")
_LAST_NON_DATA_GROUP = 0x0007
# What pydicom lets escape when a value does not fit its VR or its character set.
_VALUE_ERRORS = (
    BytesLengthException,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    NotImplementedError,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """An attribute that the answer holds, with or without a value."""

    tag: int
    VR: str
    keyword: str


@dataclass(frozen=True, slots=True)
class Query:
    """A C-FIND identifier. `keys`: those with values that can be matched, by keyword."""

    level: str
    keys: dict[str, Key]
    asked: tuple[Asked, ...]
    # It has other keys with values too, which match everything (PS3.4 C.2.2.1.3).
    is_partial: bool = False

    @property
    def matched(self) -> Iterable[tuple[str, Key]]:
        """The keys that select something."""
        return self.keys.items()

    def condition(self, keyword: str, column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
        """The SQL test of a key on a column; true where the identifier has no such key."""
        key = self.keys.get(keyword)
        return true() if key is None else key.condition(column)

    def uids(self, keyword: str) -> tuple[str, ...]:
        """The values of a unique key; empty: all."""
        return self.keys[keyword].values if keyword in self.keys else ()


@dataclass(frozen=True, slots=True)
class Selection:
    """A C-MOVE or C-GET identifier: what to retrieve. No UIDs of a level: all of it."""

    level: str
    study_uids: tuple[str, ...]
    series_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()


def read_query(identifier: Dataset, known: Callable[[str], Container[str]]) -> Query:
    """Read a C-FIND identifier; `known` says what can be matched at a level.

    Raises DataSetMismatchError, CannotUnderstandError.
    """
    level = _level(identifier)
    keys = _keys(identifier)
    for unique in UNIQUE_KEYS[: LEVELS.index(level)]:
        _check_single(keys, unique, level)
    asked = tuple(
        Asked(int(element.tag), _vr(element), element.keyword)
        for element in identifier
        if element.keyword not in _NOT_KEYS and _may_be_asked(element.tag)
    )
    named = [keyword for keyword, key in keys.items() if key.values or key.is_passed_over]
    matched = {each: keys[each] for each in named if keys[each].values and each in known(level)}
    return Query(level, matched, asked, is_partial=len(matched) < len(named))


def read_selection(identifier: Dataset) -> Selection:
    """Read a C-MOVE or C-GET identifier; other keys than the unique ones are ignored.

    Raises DataSetMismatchError, CannotUnderstandError."""
    level = _level(identifier)
    depth = LEVELS.index(level)
    keys = _keys(identifier, UNIQUE_KEYS[: depth + 1])
    for unique in UNIQUE_KEYS[:depth]:
        _check_single(keys, unique, level)
    unique = UNIQUE_KEYS[depth]
    if unique not in keys or not keys[unique].values:
        # An empty key would be universal, and move a whole archive by accident.
        raise DataSetMismatchError(f"{unique} must hold at least one UID to retrieve at {level}")
    return Selection(level, *(keys[name].values for name in UNIQUE_KEYS[: depth + 1]))


def _vr(element: DataElement) -> str:
    """The VR of an answer: the dictionary's, which values fit, whatever the requestor has put.

    The dictionary may leave a choice, as in "US or SS".
    """
    vr = dictionary_VR(element.tag) if element.keyword else str(element.VR)
    return vr.partition(" ")[0]


def _may_be_asked(tag: BaseTag) -> bool:
    """No group lengths, and no command or file meta elements, which no data set may hold."""
    return tag.element != 0 and tag.group > _LAST_NON_DATA_GROUP


def _level(identifier: Dataset) -> str:
    level = str(identifier.get("QueryRetrieveLevel") or "").strip()
    if level not in LEVELS:
        raise DataSetMismatchError("QueryRetrieveLevel must be STUDY, SERIES or IMAGE")
    return level


def _keys(identifier: Dataset, only: tuple[str, ...] = ()) -> dict[str, Key]:
    try:
        return {
            element.keyword: matching_key(element)
            for element in identifier
            if element.keyword
            and element.keyword not in _NOT_KEYS
            and (not only or element.keyword in only)
        }
    except CannotUnderstandError:
        raise
    except _VALUE_ERRORS as error:
        raise CannotUnderstandError(
            f"a value of the identifier cannot be read ({type(error).__name__})"
        ) from error


def _check_single(keys: dict[str, Key], unique: str, level: str) -> None:
    if unique not in keys or len(keys[unique].values) != 1:
        raise DataSetMismatchError(f"{unique} must hold one UID at level {level}")
