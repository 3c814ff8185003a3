"""Attribute matching of C-FIND: what each kind of key lets through (PS3.4 C.2.2.2)."""

from __future__ import annotations

import time

import pytest
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from sqlalchemy import Column, MetaData, String, Table, create_engine, insert, select

from node.errors import CannotUnderstandError
from node.query.matching import Key, matching_key

NAMES = ["DOE^JOHN", "Doe^Jane", "MÜLLER^ÄNNCHEN", "Yamada^Tarou=山田^太郎=やまだ^たろう", ""]


def key(keyword: str, value: object) -> Key:
    """The key of one element, as pydicom makes it from an identifier."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return matching_key(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))


def chosen(keyword: str, value: object, values: list[str]) -> list[str]:
    """What a key lets through, by both of its tests."""
    wanted = key(keyword, value)
    accepted = [each for each in values if wanted.accepts([each])]
    assert set(accepted) <= set(_by_sql(wanted, values)), "SQL lets too little through"
    return accepted


def _by_sql(wanted: Key, values: list[str]) -> list[str]:
    table = Table("t", MetaData(), Column("value", String))
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(insert(table), [{"value": value} for value in values])
        condition = wanted.condition(table.c.value)
        found = list(connection.scalars(select(table.c.value).where(condition)))
    engine.dispose()
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("DOE^JOHN", ["DOE^JOHN"]),
        ("doe^john", ["DOE^JOHN"]),
        ("DOE^JOHN^^^", ["DOE^JOHN"]),
        ("doe*", ["DOE^JOHN", "Doe^Jane"]),
        ("*^J?NE", ["Doe^Jane"]),
        ("DOE", []),
        ("müller*", ["MÜLLER^ÄNNCHEN"]),
        ("*ännchen", ["MÜLLER^ÄNNCHEN"]),
        ("yamada^tarou", [NAMES[3]]),
        ("山田*", [NAMES[3]]),
        ("Yamada*=山田*", [NAMES[3]]),
        ("=山田^太郎", [NAMES[3]]),
        ("==やまだ*", [NAMES[3]]),
        ("=やまだ*", []),
        ("Yamada^Tarou=*", [NAMES[3]]),
        ("DOE^JOHN=山田*", []),
        ("D%", []),
        ("DOE_JOHN", []),
        ("[D]OE*", []),
        ("*", NAMES),
        ("", NAMES),
        (None, NAMES),
    ],
)
def test_names(value: str | None, expected: list[str]) -> None:
    """Names match in any case, with wildcards, by any component group."""
    assert chosen("PatientName", value, NAMES) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20260102", ["20260102"]),
        ("20260101-20260102", ["20260101", "20260102"]),
        ("-20260101", ["20251231", "20260101"]),
        ("20260102-", ["20260102", "20260301"]),
        ("2026.01.02", ["20260102"]),
        ("20260301-20260101", []),
    ],
)
def test_dates(value: str, expected: list[str]) -> None:
    """A date, a range, a range open at one end; a study without a date is in no range."""
    dates = ["20251231", "20260101", "20260102", "20260301", ""]
    assert chosen("StudyDate", value, dates) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1000", ["1000", "100059.5"]),
        ("1000-1100", ["1000", "100059.5", "110030"]),
        ("110030-", ["110030", "23"]),
        ("-10", ["1000", "100059.5"]),
        ("10:00-11:00", ["1000", "100059.5", "110030"]),
        ("100059.5-110030", ["100059.5", "110030"]),
    ],
)
def test_times(value: str, expected: list[str]) -> None:
    """A time that leaves out its finer parts means all of them."""
    times = ["1000", "100059.5", "110030", "23", ""]
    assert chosen("StudyTime", value, times) == expected


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDate", "2026"),
        ("StudyDate", "20260101-20260102-20260103"),
        ("StudyDate", "-"),
        ("StudyTime", "noon"),
        ("StudyInstanceUID", "1.2.*"),
        ("StudyInstanceUID", "../../etc"),
        ("PatientID", "x" * 2000),
    ],
)
def test_values_that_mean_nothing_are_refused(keyword: str, value: str) -> None:
    """An error that names the attribute and not the value."""
    with pytest.raises(CannotUnderstandError) as error:
        key(keyword, value)
    assert keyword in str(error.value)
    assert value not in str(error.value)


def test_text_is_case_sensitive() -> None:
    """Only names ignore case; wildcards do not change that."""
    ids = ["AB1", "ab1", "AB2", "A%1"]
    assert chosen("PatientID", "AB1", ids) == ["AB1"]
    assert chosen("PatientID", "AB?", ids) == ["AB1", "AB2"]
    assert chosen("PatientID", "A%1", ids) == ["A%1"]


def test_lists() -> None:
    """Any UID of a list, any value of another attribute."""
    assert chosen("StudyInstanceUID", ["1.2", "1.4"], ["1.2", "1.3", "1.4"]) == ["1.2", "1.4"]
    modalities = key("ModalitiesInStudy", ["MG", "US"])
    assert modalities.accepts(["SR", "US"])
    assert not modalities.accepts(["SR", "CT"])


def test_long_lists_of_unknown_vr() -> None:
    """More than 64 kB is no UI in Explicit VR, but UN (PS3.5 6.2.2): a list of UIDs as any."""
    uids = [f"1.2.826.0.1.3680043.8.498.1{number:036}" for number in range(1, 1201)]
    tag = tag_for_keyword("SOPInstanceUID")
    assert tag is not None
    encoded = "\\".join(uids).encode() + b"\0"
    assert len(encoded) > 0xFFFF
    element = DataElement(tag, "UN", encoded)
    assert matching_key(element) == key("SOPInstanceUID", uids)


def test_nul_is_dropped() -> None:
    """As it is from what is stored; PostgreSQL takes none in a text."""
    assert chosen("AccessionNumber", "A\0B ", ["AB", "A", "B"]) == ["AB"]
    assert chosen("PatientName", "DOE\0*\0", NAMES) == ["DOE^JOHN", "Doe^Jane"]


def test_numbers() -> None:
    """Numbers match as numbers."""
    assert chosen("InstanceNumber", "1", ["1", "01", "+1", "2", "x", ""]) == ["1", "01", "+1"]


def test_hostile_pattern_costs_nothing() -> None:
    """Many asterisks against a long value end at once."""
    began = time.monotonic()
    assert not key("PatientName", "*a" * 60 + "b").accepts(["a" * 324])
    assert time.monotonic() - began < 1
