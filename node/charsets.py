"""A character set that pydicom 3.0.2 takes for Latin-1: ISO-IR 203, Latin alphabet No. 9.

It has the euro sign, Š, Ž and Œ where Latin-1 has others: read as that, a patient's name is another
than the archive's. PS3.3 C.12.1.1.2, tables C.12-2 and C.12-3.
"""

from __future__ import annotations

from pydicom import charset

_LATIN_9 = "iso8859_15"
_TO_LATIN_9 = b"\x1b-b"


def teach_pydicom() -> None:
    """Have it read and write Latin-9 from now on; where it can already, nothing changes."""
    for term in ("ISO_IR 203", "ISO 2022 IR 203"):
        charset.python_encoding.setdefault(term, _LATIN_9)
    charset.CODES_TO_ENCODINGS.setdefault(_TO_LATIN_9, _LATIN_9)
    charset.ENCODINGS_TO_CODES.setdefault(_LATIN_9, _TO_LATIN_9)
