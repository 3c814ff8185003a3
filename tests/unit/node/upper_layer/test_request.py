"""What is left of an association request before pynetdicom decodes it."""

from __future__ import annotations

import pytest

from node.upper_layer.request import fault, simplified
from tests.peers.raw import associate_rq, item


def test_a_request_without_more_loses_its_implementation_alone() -> None:
    """Titles, contexts and the largest PDU stay byte for byte."""
    request = associate_rq()
    left = bytes(simplified(request))
    uid = item(0x52, b"1.2.826.0.1.3680043.8.498.1")
    body = request[6:].replace(uid, b"")
    user = body.index(b"\x50\0")
    assert left[6:] == body[: user + 2] + b"\0\x08" + body[user + 4 :]
    assert int.from_bytes(left[2:6], "big") == len(left) - 6


@pytest.mark.parametrize("kind", [0x53, 0x54])
def test_what_is_negotiated_stays(kind: int) -> None:
    """The asynchronous operations window and role selection."""
    wanted = item(kind, b"\0\1\0\1")
    assert bytes(simplified(associate_rq(user=item(0x55, b"X") + wanted))).endswith(wanted)


def test_broken_lengths_are_left_to_the_decoder() -> None:
    """A request that is cut is not made whole, or shorter, on the way."""
    request = associate_rq()
    for length in range(6, len(request)):
        cut = request[:length]
        assert len(simplified(cut)) <= len(cut)
    broken = request.replace(b"\x52\0\0", b"\x52\0\xff")
    assert bytes(simplified(broken)) == broken


@pytest.mark.parametrize(
    ("title", "said"),
    [("A\\B", "backslash"), ("A\x07", "not ASCII"), (" ", "empty AE title"), ("A", "decoded")],
)
def test_faults_are_told(title: str, said: str) -> None:
    """Each in a sentence that is the same for the same mistake."""
    assert said in fault(associate_rq(calling=title))
