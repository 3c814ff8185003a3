"""What a DICOMweb archive says in its answers: data sets in JSON, or in XML (PS3.18 F, PS3.19 A.1).

In: the body of an answer. Out: its data sets, and of a Store Instances Response (PS3.18 table
10.5.3-1) the reasons why something was not stored. What must hold: whatever the body is, nothing is
raised; and a failure is seen in each form that archives give it, since one that is overlooked is a
result that never arrived and counts as delivered. Archives answer in XML although they are asked
for JSON, and under content types that are neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from xml.etree import ElementTree

# Instances that were not stored, and failures that name none.
_FAILED_SOP_SEQUENCE: Final = "00081198"
_OTHER_FAILURES_SEQUENCE: Final = "0008119A"
_FAILURE_REASON: Final = "00081197"


def failure_reasons(body: bytes) -> list[int | None]:
    """The Failure Reason of everything that was not stored; None for one that is not a number.

    A request of ours holds one instance, so every failure is about that.
    """
    return [
        _number(first_value(failed, _FAILURE_REASON))
        for response in data_sets(body)
        for tag in (_FAILED_SOP_SEQUENCE, _OTHER_FAILURES_SEQUENCE)
        for failed in _values(response, tag)
        if isinstance(failed, dict)
    ]


def data_sets(body: bytes) -> list[dict[str, Any]]:
    """The data sets of a body, as DICOM JSON has them; none where it is empty or neither format."""
    try:
        if body.lstrip().startswith(b"<"):
            return list(_in_xml(body))
        found = json.loads(body) if body.strip() else []
    except (ValueError, RecursionError, ElementTree.ParseError):
        return []
    return [each for each in (found if isinstance(found, list) else [found]) if _is_set(each)]


def first_value(item: dict[str, Any], tag: str) -> Any:
    """The first value of an attribute; None where it has none."""
    return next(iter(_values(item, tag)), None)


def _values(item: dict[str, Any], tag: str) -> list[Any]:
    attribute = item.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values if isinstance(values, list) else []


def _is_set(value: object) -> bool:
    return isinstance(value, dict)


def _number(value: object) -> int | None:
    """US is a number in JSON and text in XML."""
    try:
        return int(str(value).strip())
    except ValueError:
        return None


def _in_xml(body: bytes) -> Iterator[dict[str, Any]]:
    # Expat limits what entities may grow to; the archive is one that the site has named.
    for element in ElementTree.fromstring(body).iter():  # noqa: S314
        if _name(element) == "NativeDicomModel":
            yield _attributes(element)


def _attributes(element: ElementTree.Element) -> dict[str, Any]:
    return {
        str(child.get("tag")): {"Value": [_value(each) for each in child]}
        for child in element
        if _name(child) == "DicomAttribute"
    }


def _value(element: ElementTree.Element) -> dict[str, Any] | str | None:
    return _attributes(element) if _name(element) == "Item" else element.text


def _name(element: ElementTree.Element) -> str:
    """Without the name space, which some archives leave out."""
    return element.tag.rpartition("}")[2]
