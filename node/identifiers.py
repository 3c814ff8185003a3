"""Types for what identifies things, and UIDs that are derived instead of drawn.

A derived UID is UUIDv5 under 2.25 (PS3.5 B.2), so that a retry writes the same object again.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from typing import NewType

AETitle = NewType("AETitle", str)
StudyInstanceUID = NewType("StudyInstanceUID", str)
SeriesInstanceUID = NewType("SeriesInstanceUID", str)
SOPInstanceUID = NewType("SOPInstanceUID", str)
JobId = NewType("JobId", int)

# PS3.5 section 9.1: digits and dots, 64 characters, no empty component, no leading zeros. Leading
# zeros are tolerated on reception because real devices send them and archives keep them.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
MAX_UID_LENGTH = 64
# PS3.5 table 6.2-1, AE: no backslash, no control characters.
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")

# The name space of this product's derived UIDs; changing it would duplicate every result.
_NAMESPACE = uuid.UUID("6c7b9a52-3f0e-5d0c-9d55-7a3f6f1c2b10")


def is_uid(text: str) -> bool:
    """Whether `text` is usable as a UI value and, because of that, as a file name."""
    return 0 < len(text) <= MAX_UID_LENGTH and _UID.fullmatch(text) is not None


def read_ae_title(text: str) -> AETitle:
    """An AE value without its padding; only spaces are none. Raises ValueError."""
    if not text.strip() or _AE_TITLE.fullmatch(text) is None:
        raise ValueError("an AE title has 1 to 16 ASCII characters and no backslash")
    return AETitle(text.strip())


def read_host(text: str) -> str:
    """The name or address of a host; that of IPv6 may stand in brackets. Raises ValueError."""
    host = text.strip()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or "/" in host or len(host.split()) > 1 or (":" in host and not _is_ipv6(host)):
        raise ValueError("write a host name or an address, the port apart")
    return host


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def derived_uid(*parts: str | int) -> str:
    """The UID that belongs to these parts, always the same one (2.25. and up to 39 digits)."""
    name = "\x1f".join(str(part) for part in parts)
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"
