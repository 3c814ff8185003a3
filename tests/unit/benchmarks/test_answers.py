"""Answers, cut from the stream however it is cut up."""

from __future__ import annotations

import pytest

from benchmarks.answers import Answers, ProtocolError, Released, Stored
from benchmarks.sink import stored
from benchmarks.wire import ASSOCIATE_AC, PDU_HEADER, RELEASE_RESPONSE, p_data


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_answers_come_whole_from_pieces(piece: int) -> None:
    """Two responses and a release, in pieces of any length, in order."""
    stream = stored(1) + stored(2) + RELEASE_RESPONSE
    answers, found = Answers(), []
    for at in range(0, len(stream), piece):
        found += answers.feed(stream[at : at + piece])
    assert found == [Stored(1, 0x0000), Stored(2, 0x0000), Released()]


def test_command_in_two_values_is_one_answer() -> None:
    """A response may be fragmented as a data set is (PS3.8 annex E)."""
    command = stored(9)[12:]
    stream = p_data(0x01, command[:20]) + p_data(0x03, command[20:])
    assert Answers().feed(stream) == [Stored(9, 0x0000)]


@pytest.mark.parametrize(
    "stream", [PDU_HEADER.pack(ASSOCIATE_AC, 0), p_data(0x02, b"data"), p_data(0x03, b"")]
)
def test_anything_else_is_an_error(stream: bytes) -> None:
    """Another PDU, a data set, or a response without a status ends the run."""
    with pytest.raises(ProtocolError):
        Answers().feed(stream)
