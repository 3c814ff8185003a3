"""An association request of an odd device, made into one that can be decoded (PS3.8 9.3.2).

In: the bytes of an A-ASSOCIATE-RQ. Out: the same request without the items that nothing here looks
at. pynetdicom decodes and checks them all, and a modality whose Implementation Version Name has 17
characters or an umlaut could not connect; nor could one that proposes what is newer than the
library, which is to be skipped (PS3.8 9.3.1).
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

# PS3.8 tables 9-11 and 9-18, PS3.7 D.3.3: the items, and of User Information those that are used.
# Not: names and UIDs of implementations, user identity, extended negotiation of SOP classes.
_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _USER_INFORMATION = 0x10, 0x20, 0x50
_MAXIMUM_LENGTH, _ASYNCHRONOUS_OPERATIONS, _ROLE_SELECTION = 0x51, 0x53, 0x54
_ITEMS = (_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _USER_INFORMATION)
_SUB_ITEMS = (_MAXIMUM_LENGTH, _ASYNCHRONOUS_OPERATIONS, _ROLE_SELECTION)
# PS3.8 table 9-11: PDU header, then fixed fields, and in them called and calling AE title.
_HEADER, _FIXED_BYTES = struct.Struct(">BBI"), 74
_ITEM = struct.Struct(">BBH")
_AE_TITLES = (slice(10, 26), slice(26, 42))


def simplified(encoded: bytes | bytearray) -> bytearray:
    """The request without what is not looked at; as it is, where its lengths do not fit."""
    request = bytearray(encoded)
    for title in _AE_TITLES:
        # Some devices pad with NUL what PS3.8 pads with spaces.
        request[title] = request[title].replace(b"\0", b" ")
    try:
        items = b"".join(_known_items(bytes(request[_FIXED_BYTES:])))
    except ValueError:
        return request
    kind, reserved, _ = _HEADER.unpack_from(request)
    fixed = request[_HEADER.size : _FIXED_BYTES]
    return bytearray(_HEADER.pack(kind, reserved, len(fixed) + len(items)) + fixed + items)


def fault(encoded: bytes | bytearray) -> str:
    """Why a request cannot be decoded, in a few fixed sentences: they are counted."""
    titles = [bytes(encoded[title]) for title in _AE_TITLES]
    if not all(title.strip() for title in titles):
        return "the association request has an empty AE title"
    if not all(title.isascii() and title.decode("ascii").isprintable() for title in titles):
        return "an AE title of the association request is not ASCII"
    if any(b"\\" in title for title in titles):
        return "an AE title of the association request has a backslash"
    return "the association request cannot be decoded"


def _known_items(encoded: bytes) -> Iterator[bytes]:
    for kind, content in _items(encoded, _ITEMS):
        if kind == _USER_INFORMATION:
            used = _items(content, _SUB_ITEMS)
            content = b"".join(_ITEM.pack(each, 0, len(body)) + body for each, body in used)
        yield _ITEM.pack(kind, 0, len(content)) + content


def _items(encoded: bytes, wanted: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Type and content of the wanted items, in order. Raises ValueError for one that is cut."""
    position = 0
    while position < len(encoded):
        if len(encoded) - position < _ITEM.size:
            raise ValueError("an item is cut")
        kind, _, length = _ITEM.unpack_from(encoded, position)
        position += _ITEM.size
        if length > len(encoded) - position:
            raise ValueError("an item is cut")
        if kind in wanted:
            yield kind, encoded[position : position + length]
        position += length
