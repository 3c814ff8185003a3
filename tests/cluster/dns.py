"""A cluster DNS of one screen: names of Services to their address, from the API server.

In: questions for `<service>.<namespace>.svc.cluster.local`. Out: A records; for a Service without
an address of its own those of its pods. Nothing else exists: nothing outside is reachable.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

Addresses = Callable[[], dict[str, list[str]]]

_SUFFIX = ".svc.cluster.local"
_A, _IN, _NXDOMAIN = 1, 1, 3
# What was read stays good for this long.
_FRESH_SECONDS = 1.0


def serve(host: str, addresses: Addresses) -> None:
    """Answer on UDP port 53 of `host` until the process ends. `addresses`: by service.namespace."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((host, 53))
    known: dict[str, list[str]] = {}
    read_at = 0.0
    while True:
        question, asker = listener.recvfrom(512)
        if time.monotonic() - read_at > _FRESH_SECONDS:
            known, read_at = addresses(), time.monotonic()
        listener.sendto(answer(question, known), asker)


def answer(question: bytes, known: dict[str, list[str]]) -> bytes:
    """The reply to one question (RFC 1035, section 4.1)."""
    name, end = _name(question)
    kind, _ = struct.unpack("!HH", question[end : end + 4])
    found = known.get(name.removesuffix(_SUFFIX)) if name.endswith(_SUFFIX) else None
    records = [_record(address) for address in found or []] if kind == _A else []
    # QR, AA, RD, RA, and NXDOMAIN where there is no such name at all.
    flags = 0x8580 | (0 if found is not None else _NXDOMAIN)
    head = question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    return head + question[12 : end + 4] + b"".join(records)


def _name(question: bytes) -> tuple[str, int]:
    labels, place = [], 12
    while length := question[place]:
        labels.append(question[place + 1 : place + 1 + length].decode("ascii"))
        place += 1 + length
    return ".".join(labels).lower(), place + 1


def _record(address: str) -> bytes:
    # The name is a pointer to the question's; five seconds to live.
    return b"\xc0\x0c" + struct.pack("!HHIH", _A, _IN, 5, 4) + socket.inet_aton(address)
