"""UIDs: which are accepted as names, and which are derived."""

from __future__ import annotations

import pytest

from node.identifiers import derived_uid, is_uid, read_host


@pytest.mark.parametrize("text", ["1.2.840.10008.1.1", "2.25.1", "1", "1." + "2" * 62])
def test_uids(text: str) -> None:
    """Digits and dots up to 64 characters."""
    assert is_uid(text)


@pytest.mark.parametrize(
    "text", ["", ".", "1.", ".1", "1..2", "1.2\n", "1.2/..", "../1", "1.2 ", "1.a", "1" * 65]
)
def test_not_uids(text: str) -> None:
    """Nothing that could be a path, or that PS3.5 section 9.1 forbids."""
    assert not is_uid(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [("pacs", "pacs"), (" 10.0.0.7 ", "10.0.0.7"), ("[fd00::7]", "fd00::7"), ("fe80::1%eth0",) * 2],
)
def test_hosts(text: str, host: str) -> None:
    """Names and addresses; a resolver does not know the brackets of a URL."""
    assert read_host(text) == host


@pytest.mark.parametrize("text", ["", " ", "[]", "http://pacs", "pacs:104", "[::1]:104", "a b"])
def test_not_hosts(text: str) -> None:
    """Nothing that has more in it than where to call."""
    with pytest.raises(ValueError, match="the port apart"):
        read_host(text)


def test_derived_uids_repeat_and_differ() -> None:
    """The same parts give the same UID; parts do not run into each other."""
    assert derived_uid("SEG", "1.2", 3) == derived_uid("SEG", "1.2", 3)
    assert derived_uid("a", "bc") != derived_uid("ab", "c")
    assert is_uid(derived_uid("SEG", "1.2", 3))
