"""Broken messages, command sets and data sets for one layer at a time: the short run."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import pytest

from node.errors import CannotUnderstandError
from node.header import parse_header
from tests.fuzz import layers
from tests.fuzz.mutation import mutated
from tests.fuzz.run import run_layer
from tests.fuzz.sessions import MESSAGES, store
from tests.peers.pipelining import MAMMOGRAPHY

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


@pytest.mark.parametrize(
    ("target", "count"),
    [
        ("stream", 4000),
        ("commands", 4000),
        ("header", 1500),
        ("note", 1500),
        ("provider", 400),
        ("multipart", 1500),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_broken_input_keeps_every_promise(target: str, count: int, tmp_path: Path) -> None:
    """Only the defined exceptions, and every data set that was begun ends exactly once."""
    run_layer(target, count, "short", tmp_path)


def test_whole_messages_arrive_whole() -> None:
    """Without mutations every data set reaches its sink byte for byte, however it is cut."""
    for seed in range(50):
        random = Random(seed)
        pdus = [pdu for _ in range(3) for pdu in store(random)]
        service = layers.stream(random, b"".join(pdu.encode() for pdu in pdus))
        assert len(service.opened) == 3
        assert service.discarded == 0
        sent = b"".join(value.content for pdu in pdus for value in pdu.values if value.control != 3)
        assert b"".join(bytes(sink.content) for sink in service.opened) == sent


def test_mutations_are_repeated_by_their_name() -> None:
    """The same seed makes the same input, so that a failure can be looked at."""
    first, again = (
        mutated(random, MESSAGES[0](random)) for random in (Random("1:a"), Random("1:a"))
    )
    assert first == again
    assert MAMMOGRAPHY.encode() in b"".join(pdu.encode() for pdu in store(Random(1)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("left", range(1, 12))
def test_data_set_that_ends_in_a_length_is_refused(left: int) -> None:
    """An element header that is cut off is CannotUnderstandError, wherever the cut is."""
    element = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    with pytest.raises(CannotUnderstandError):
        parse_header(element[:left], EXPLICIT_LITTLE_ENDIAN)
