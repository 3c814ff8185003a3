"""How valid sessions are broken: first their parts, then their bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from random import Random

from tests.fuzz.sessions import MESSAGES, Pdu, Value, abort, release

# Lengths and numbers at which implementations have been seen to trip.
_NUMBERS = (0, 1, 2, 3, 4, 5, 6, 7, 127, 255, 256, 65535, 65536, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF)


def mutated(random: Random, pdus: list[Pdu]) -> bytes:
    """The session with none to four things wrong, encoded."""
    parts = [replace(pdu, values=[replace(value) for value in pdu.values]) for pdu in pdus]
    for _ in range(random.choice([0, 1, 1, 1, 2, 2, 3])):
        random.choice(_PARTS)(random, parts)
    content = b"".join(pdu.encode() for pdu in parts)
    for _ in range(random.choice([0, 0, 0, 1, 1, 2, 4])):
        content = random.choice(BYTES)(random, content)
    return content


def flip(random: Random, content: bytes) -> bytes:
    """One bit of one byte."""
    if not content:
        return content
    position = random.randrange(len(content))
    changed = content[position] ^ (1 << random.randrange(8))
    return content[:position] + bytes((changed,)) + content[position + 1 :]


def number(random: Random, content: bytes) -> bytes:
    """A number of two or four bytes, in either order."""
    chosen = random.choice(_NUMBERS)
    form = random.choice(("<H", ">H", "<I", ">I"))
    written = struct.pack(form, chosen & (0xFFFF if "H" in form else 0xFFFFFFFF))
    position = random.randrange(len(content) + 1)
    return content[:position] + written + content[position + len(written) :]


def cut(random: Random, content: bytes) -> bytes:
    """The end is missing."""
    return content[: random.randrange(len(content) + 1)]


def removed(random: Random, content: bytes) -> bytes:
    """Some bytes are missing."""
    begin = random.randrange(len(content) + 1)
    return content[:begin] + content[begin + random.randrange(1, 40) :]


def inserted(random: Random, content: bytes) -> bytes:
    """Some bytes too many."""
    begin = random.randrange(len(content) + 1)
    return content[:begin] + random.randbytes(random.randrange(1, 40)) + content[begin:]


def copied(random: Random, content: bytes) -> bytes:
    """Some bytes twice."""
    begin = random.randrange(len(content) + 1)
    end = min(begin + random.randrange(1, 200), len(content))
    return content[:end] + content[begin:]


BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (
    flip,
    flip,
    flip,
    number,
    number,
    cut,
    removed,
    inserted,
    copied,
)


def _drop(random: Random, pdus: list[Pdu]) -> None:
    if pdus:
        del pdus[random.randrange(len(pdus))]


def _repeat(random: Random, pdus: list[Pdu]) -> None:
    if pdus:
        position = random.randrange(len(pdus))
        pdus.insert(random.randrange(len(pdus) + 1), pdus[position])


def _swap(random: Random, pdus: list[Pdu]) -> None:
    if len(pdus) > 1:
        first, second = random.sample(range(len(pdus)), 2)
        pdus[first], pdus[second] = pdus[second], pdus[first]


def _lie_about_pdu(random: Random, pdus: list[Pdu]) -> None:
    if pdus:
        random.choice(pdus).length = _length(random)


def _lie_about_value(random: Random, pdus: list[Pdu]) -> None:
    if found := _values(pdus):
        random.choice(found).length = _length(random)


def _control(random: Random, pdus: list[Pdu]) -> None:
    if found := _values(pdus):
        random.choice(found).control = random.choice([0, 1, 2, 3, random.randrange(256)])


def _context(random: Random, pdus: list[Pdu]) -> None:
    if found := _values(pdus):
        random.choice(found).context_id = random.choice([0, 1, 2, 3, 5, 7, 255])


def _empty(random: Random, pdus: list[Pdu]) -> None:
    if found := _values(pdus):
        random.choice(found).content = b""


def _swap_values(random: Random, pdus: list[Pdu]) -> None:
    if len(found := _values(pdus)) > 1:
        first, second = random.sample(found, 2)
        first.content, second.content = second.content, first.content


def _repeat_value(random: Random, pdus: list[Pdu]) -> None:
    if chosen := [pdu for pdu in pdus if pdu.values]:
        pdu = random.choice(chosen)
        pdu.values.insert(0, replace(random.choice(pdu.values)))


def _kind(random: Random, pdus: list[Pdu]) -> None:
    if pdus:
        random.choice(pdus).kind = random.randrange(9)


def _insert(random: Random, pdus: list[Pdu]) -> None:
    """Another message, or the end of the association, in the middle of things."""
    more = random.choice([*MESSAGES, release, abort])(random)
    position = random.randrange(len(pdus) + 1)
    pdus[position:position] = more


def _inside(random: Random, pdus: list[Pdu]) -> None:
    """Wrong bytes in one value, all lengths around it being right."""
    if found := _values(pdus):
        value = random.choice(found)
        value.content = random.choice(BYTES)(random, value.content)


_PARTS: tuple[Callable[[Random, list[Pdu]], None], ...] = (
    _drop,
    _repeat,
    _swap,
    _lie_about_pdu,
    _lie_about_value,
    _control,
    _context,
    _empty,
    _swap_values,
    _repeat_value,
    _kind,
    _insert,
    _inside,
    _inside,
    _inside,
)


def _values(pdus: list[Pdu]) -> list[Value]:
    return [value for pdu in pdus for value in pdu.values]


def _length(random: Random) -> int:
    return random.choice([*_NUMBERS, random.randrange(1 << 12)])
