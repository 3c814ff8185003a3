"""UIDs: which are accepted as names, and which are derived."""

from __future__ import annotations

import pytest

from node.identifiers import derived_uid, is_uid


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


def test_derived_uids_repeat_and_differ() -> None:
    """The same parts give the same UID; parts do not run into each other."""
    assert derived_uid("SEG", "1.2", 3) == derived_uid("SEG", "1.2", 3)
    assert derived_uid("a", "bc") != derived_uid("ab", "c")
    assert is_uid(derived_uid("SEG", "1.2", 3))
