"""The parts of a multipart body, while it arrives (RFC 2046 5.1).

In: the body, in chunks as they come. Out: for each part its header fields, its bytes and its end,
to a handler. python-multipart finds the boundaries; it is made for forms, so two things are added
here: text before the first boundary is skipped, and a body that ends too early is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from node.errors import MalformedRequestError

# RFC 2046 allows any text before the first boundary; real senders write a line, if anything.
_PREAMBLE_BYTES = 1 << 14


class PartHandler(Protocol):
    """Takes one part after the other."""

    def begin(self, headers: dict[str, str]) -> None:
        """A part begins; names of header fields are in lower case."""

    def write(self, fragment: memoryview) -> None:
        """The next bytes of the part; they are the caller's again when this returns."""

    def end(self) -> None:
        """The part is complete."""


class MultipartReader:
    """Reads one body."""

    def __init__(self, boundary: bytes, handler: PartHandler) -> None:
        self._delimiter = b"--" + boundary
        # A first line is preceded by nothing, all others by a line end.
        self._preamble: bytes | None = b"\r\n"
        self._handler = handler
        self._headers: dict[str, str] = {}
        self._name, self._value = bytearray(), bytearray()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._gather(self._name),
                "on_header_value": self._gather(self._value),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_part,
                "on_part_data": self._write,
                "on_part_end": handler.end,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body. Raises MalformedRequestError."""
        if self._preamble is not None:
            chunk = self._after_preamble(self._preamble + chunk)
        if chunk:
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise MalformedRequestError(f"multipart: {error}") from error

    def close(self) -> None:
        """The body is at its end. Raises MalformedRequestError when its last boundary is not."""
        if not self._ended:
            raise MalformedRequestError("the body ends before its closing boundary")

    def _after_preamble(self, text: bytes) -> bytes:
        start = text.find(b"\r\n" + self._delimiter)
        if start >= 0:
            self._preamble = None
            return text[start + 2 :]
        if len(text) > _PREAMBLE_BYTES:
            raise MalformedRequestError("the boundary of Content-Type is not in the body")
        self._preamble = text
        return b""

    def _gather(self, target: bytearray) -> Callable[[bytes, int, int], None]:
        def gather(data: bytes, start: int, end: int) -> None:
            target.extend(data[start:end])

        return gather

    def _end_header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name.clear()
        self._value.clear()

    def _begin_part(self) -> None:
        self._handler.begin(dict(self._headers))

    def _write(self, data: bytes, start: int, end: int) -> None:
        self._handler.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self._ended = True
