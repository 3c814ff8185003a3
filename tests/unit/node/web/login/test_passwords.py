"""Passwords: which are refused, and how they are kept."""

from __future__ import annotations

import pytest

from node.web.login.passwords import HASH, fault, hashed, matches


@pytest.mark.parametrize(
    ("password", "text"),
    [
        ("", "empty"),
        ("short", "too short: 12"),
        ("x" * 129, "too long: 128"),
        ("aaaaaaaaaaaaaaa", "too simple"),
        ("121212121212", "too simple"),
        ("password1234", "easy to guess"),
        ("Passwort1234!", "easy to guess"),
        ("sentinode-admin-1", "easy to guess"),
        ("qwertzuiop12", "easy to guess"),
        ("1234567890123", "easy to guess"),
        ("anna.smith-anna.smith", "easy to guess"),
        ("tab\tin the middle", "control character"),
    ],
)
def test_bad_password_is_told_why(password: str, text: str) -> None:
    """Each refusal says which rule and what to do."""
    found = fault(password, "anna.smith")
    assert found is not None
    assert text in found


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "xK4#mZ9!pQ2w",
        "äöü ßéè ñçå 日本",
        "7Vd2kL0qWm_sN1bXz8cR4tYh6uJ3pE5a",
    ],
)
def test_good_password_is_taken(password: str) -> None:
    """Phrases, random letters, any script, what a deployment generates."""
    assert fault(password, "anna") is None


def test_only_the_password_matches() -> None:
    """The hash is Argon2id; two of one password differ by their salt."""
    kept = hashed("correct horse battery")
    assert HASH.fullmatch(kept)
    assert matches(kept, "correct horse battery")
    assert not matches(kept, "correct horse batterx")
    assert hashed("correct horse battery") != kept


def test_keyboards_that_compose_differently() -> None:
    """A letter with its accent, and the letter and the accent, are one password."""
    assert matches(hashed("caf\u00e9 au lait noir"), "cafe\u0301 au lait noir")


def test_nobody_has_no_password() -> None:
    """Not even the one that the stand-in for missing accounts was made of."""
    assert not matches(None, "x" * 12)
    assert not matches("nonsense", "correct horse battery")
