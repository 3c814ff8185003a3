"""The framing of a request: whatever the chunks, the parts are the same; what is broken is told."""

from __future__ import annotations

import pytest

from node.errors import MalformedRequestError
from node.stow.multipart import MultipartReader
from tests.peers.stow import BOUNDARY, body

# What could be taken for a boundary inside of a part, and is not.
_LURE = b"\r\n--a-boundary-\r\n\r\r\n--a-bound\r\n--\r\n"


class Parts:
    """Keeps what a reader tells."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.contents: list[bytes] = []
        self._open = bytearray()

    def begin(self, headers: dict[str, str]) -> None:
        """A part begins."""
        self.headers.append(headers)
        self._open = bytearray()

    def write(self, fragment: memoryview) -> None:
        """Bytes of the part."""
        self._open += fragment

    def end(self) -> None:
        """The part is complete."""
        self.contents.append(bytes(self._open))


def read(content: bytes, chunk_bytes: int = 1 << 20, boundary: str = BOUNDARY) -> Parts:
    """Read a whole body in chunks of this size."""
    parts = Parts()
    reader = MultipartReader(boundary.encode(), parts)
    for start in range(0, len(content), chunk_bytes):
        reader.feed(content[start : start + chunk_bytes])
    reader.close()
    return parts


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, 16, 17, 64, 1 << 20])
def test_chunks_do_not_matter(chunk_bytes: int) -> None:
    """Parts are exact however the network cuts the body, near-boundaries included."""
    contents = [
        b"first",
        _LURE,
        b"",
        bytes(range(256)) * 5,
        b"ends with cr\r",
        b"ends with crlf\r\n",
    ]
    parts = read(body(*contents), chunk_bytes)
    assert parts.contents == contents
    assert parts.headers == [{"content-type": "application/dicom"}] * len(contents)


@pytest.mark.parametrize("chunk_bytes", [1, 5, 1 << 20])
def test_text_around_the_parts_is_skipped(chunk_bytes: int) -> None:
    """Preamble and epilogue are allowed (RFC 2046 5.1.1) and mean nothing."""
    content = b"This is a multipart - message.\r\n-- \r\n" + body(b"one", b"two") + b"\r\nthe end"
    assert read(content, chunk_bytes).contents == [b"one", b"two"]
    assert read(b"\r\n" + body(b"one"), chunk_bytes).contents == [b"one"]


@pytest.mark.parametrize("chunk_bytes", [1, 9, 1 << 20])
def test_headers(chunk_bytes: int) -> None:
    """A part has its own header fields, or none; names are in lower case, values as they came."""
    content = (
        b"--b  \r\nCONTENT-Type: application/dicom;  transfer-syntax=1.2\r\nContent-ID:<x>\r\n\r\n"
        b"one\r\n--b\r\n\r\ntwo\r\n--b--"
    )
    parts = read(content.replace(b"--b  \r\n", b"--b\r\n"), chunk_bytes, "b")
    assert parts.headers == [
        {"content-type": "application/dicom;  transfer-syntax=1.2", "content-id": "<x>"},
        {},
    ]
    assert parts.contents == [b"one", b"two"]


def test_padding_after_a_boundary() -> None:
    """Spaces after a boundary are transport padding (RFC 2046 5.1.1)."""
    assert read(b"--b\r\n\r\none\r\n--b \t \r\n\r\ntwo\r\n--b--", 1, "b").contents == [
        b"one",
        b"two",
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no boundary at all",
        body(b"one")[:-6],
        body(b"one").replace(b"\r\n", b"\n"),
        f"--{BOUNDARY}\r\n: no name\r\n\r\nx\r\n--{BOUNDARY}--".encode(),
        f"--{BOUNDARY}\r\nA: ".encode() + b"x" * 10_000,
        f"--{BOUNDARY}\r\n".encode() + b"A: b\r\n" * 100,
        b"preamble without an end" * 5000,
    ],
    ids=["empty", "text", "cut", "lf", "nameless", "long field", "many fields", "long preamble"],
)
@pytest.mark.parametrize("chunk_bytes", [11, 1 << 20])
def test_broken_bodies_are_errors(content: bytes, chunk_bytes: int) -> None:
    """A body without its boundaries, or with absurd header fields, is refused and never kept."""
    with pytest.raises(MalformedRequestError):
        read(content, chunk_bytes)


def test_parts_before_the_break_are_told() -> None:
    """A part is complete at its boundary, whatever follows."""
    parts = Parts()
    reader = MultipartReader(BOUNDARY.encode(), parts)
    reader.feed(body(b"one", b"two")[:-40])
    with pytest.raises(MalformedRequestError):
        reader.close()
    assert parts.contents == [b"one"]
