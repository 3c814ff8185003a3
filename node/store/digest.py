"""The digest of a data set: `blake3:` and 64 hex digits; `sha256:` in rows of version 0.1.

It tells the same object from another of the same UID, so it must be collision resistant, and it is
computed while the object arrives: BLAKE3 takes a third of the time of SHA-256 with its processor
instructions (5.5 against 15.8 ms for a mammogram of 27 MB).
"""

from __future__ import annotations

import hashlib
from typing import Any, BinaryIO

from blake3 import blake3

_CHUNK_BYTES = 1 << 20


def new_digest() -> Any:
    """A hash object to `update`; `digest_text` ends it."""
    return blake3()


def digest_text(digest: Any) -> str:
    """The digest as it is stored."""
    return f"blake3:{digest.hexdigest()}"


def agrees(stream: BinaryIO, stored: str) -> bool:
    """Whether the rest of a stream has this stored digest. Raises OSError, ValueError."""
    algorithm, _, expected = stored.partition(":")
    digest = _algorithm(algorithm)
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return bool(digest.hexdigest() == expected)


def _algorithm(name: str) -> Any:
    if name == "blake3":
        return blake3()
    if name == "sha256":
        return hashlib.sha256()
    raise ValueError(f"unknown digest algorithm {name!r}")
