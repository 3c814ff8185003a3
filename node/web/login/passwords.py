"""Passwords: which are good enough, how they are kept, how one is compared.

Kept as Argon2id (RFC 9106), by the second of its recommended choices, which argon2-cffi has as its
default: 64 MiB, three passes. docs/decisions/0008-login.md tells why.
"""

from __future__ import annotations

import re
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_CHARACTERS = 12
# Long enough for every password manager, short enough that hashing never costs more than usual.
MAX_CHARACTERS = 128
# "aaaaaaaaaaaa" and "121212121212" are as long as others and are guessed at once.
_DIFFERENT_CHARACTERS = 6
# What must remain of a password without the words that are tried first.
_OWN_CHARACTERS = 8
_TRIED_FIRST = re.compile(
    r"password|passwort|qwerty(uiop)?|qwertz(uiop)?|asdfgh(jkl)?|welcome|willkommen|letmein|changeme"
    r"|administrator|admin|sentinode|mammograph(y|ie)|hospital|0?123(4(5(6(7(89?0?)?)?)?)?)?|abcdef(gh)?"
)

_HASHER = PasswordHasher()
# Compared with where there is no such account, so that the answer takes as long.
_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$04pbzGnizwbUdzmje4EnnA"
    "$kJoVQaOMu3rH/R/3dLvzB/aZhnvdEEPk7bDUGajMgfw"
)
HASH = re.compile(r"\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")


def fault(password: str, name: str) -> str | None:
    """Why `password` cannot be that of account `name`; None for a good one."""
    if not password:
        return "the password is empty"
    text = normal(password)
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        return "the password has a control character, such as a tab or the end of a line"
    if len(text) < MIN_CHARACTERS:
        return f"the password is too short: {MIN_CHARACTERS} characters or more"
    if len(text) > MAX_CHARACTERS:
        return f"the password is too long: {MAX_CHARACTERS} characters at most"
    folded = text.casefold()
    if len(set(folded)) < _DIFFERENT_CHARACTERS:
        return f"the password is too simple: {_DIFFERENT_CHARACTERS} different characters or more"
    if len(_TRIED_FIRST.sub("", folded.replace(name.casefold(), ""))) < _OWN_CHARACTERS:
        return "the password is too easy to guess: it is little more than well-known words or names"
    return None


def normal(password: str) -> str:
    """One form for what keyboards compose differently (RFC 8265 4.2)."""
    return unicodedata.normalize("NFC", password)


def hashed(password: str, salt: bytes | None = None) -> str:
    """The Argon2id hash in its own text form, with a salt by chance unless one is given."""
    return _HASHER.hash(normal(password), salt=salt)


def matches(kept: str | None, password: str) -> bool:
    """Whether `password` is the one of the hash; False after the same work where there is none."""
    if len(password) > MAX_CHARACTERS:
        # Nobody's. That its answer is quick says nothing about any account.
        return False
    try:
        _HASHER.verify(kept or _NOBODY, normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None
