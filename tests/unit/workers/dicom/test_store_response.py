"""A failure is seen in every form in which archives tell of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workers.dicom.store_response import data_sets, failure_reasons, first_value

FAILED, OTHER = "00081198", "0008119A"
XML = """<?xml version="1.0" encoding="UTF-8"?>
<NativeDicomModel{space}><DicomAttribute tag="{tag}" vr="SQ" keyword="FailedSOPSequence">
<Item number="1"><DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2.3</Value>
</DicomAttribute><DicomAttribute tag="00081197" vr="US"><Value number="1">{reason}</Value>
</DicomAttribute></Item></DicomAttribute></NativeDicomModel>"""
NAMESPACE = ' xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"'


def in_json(tag: str, reason: Any) -> dict[str, Any]:
    failed = {"00081155": {"vr": "UI", "Value": ["1.2.3"]}, "00081197": {"Value": [reason]}}
    return {tag: {"vr": "SQ", "Value": [failed]}}


@pytest.mark.parametrize("tag", [FAILED, OTHER])
@pytest.mark.parametrize("reason", [0xA700, "42752"])
def test_json(tag: str, reason: object) -> None:
    """One object or a list of them; the number as a number or as text."""
    item = in_json(tag, reason)
    for body in (item, [item]):
        assert failure_reasons(json.dumps(body).encode()) == [0xA700]


@pytest.mark.parametrize("tag", [FAILED, OTHER])
@pytest.mark.parametrize("space", [NAMESPACE, ""])
def test_xml(tag: str, space: str) -> None:
    """Archives answer so although JSON was asked for, not all with the name space."""
    body = XML.format(tag=tag, space=space, reason=0xA700).encode()
    assert failure_reasons(body) == [0xA700]
    assert failure_reasons(b"\n" + body.partition(b"?>")[2]) == [0xA700]


@pytest.mark.parametrize("reason", [None, "full", [], {}])
def test_a_failure_without_a_number(reason: object) -> None:
    """It is one all the same."""
    assert failure_reasons(json.dumps(in_json(FAILED, reason)).encode()) == [None]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"stored",
        b"[]",
        b"null",
        b"7",
        b'["x"]',
        b'{"00081198": ["x"]}',
        b'{"00081198": {"Value": {}}}',
        b'{"00081198": {"Value": ["x"]}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"<html><body>moved</body></html>",
        b"<NativeDicomModel>",
        b"<NativeDicomModel/>",
    ],
)
def test_what_names_no_failure(body: bytes) -> None:
    """Whatever it is, nothing is raised: an error here would end the deliveries of a study."""
    assert failure_reasons(body) == []


def test_values_of_a_query() -> None:
    """The first one, None where there is none."""
    (found,) = data_sets(b'[{"00080018": {"vr": "UI", "Value": ["1.2"]}, "00080005": {}}]')
    assert first_value(found, "00080018") == "1.2"
    assert first_value(found, "00080005") is None
    assert first_value(found, "00100010") is None
