"""One layer at a time, without sockets and threads, so that a million inputs take minutes.

A target takes a random generator, makes one input and gives it to the code as it runs in the node.
It returns when every promise held and raises whatever broke one.
"""

from __future__ import annotations

import socket
import time
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom import build_context
from pynetdicom.transport import AddressInformation

from node.association import application_entity
from node.errors import CannotUnderstandError, MalformedRequestError
from node.header import parse_header, read_header
from node.rejection import NAMED, TITLE, read_note
from node.settings import load_settings
from node.stow.multipart import MultipartReader
from node.upper_layer.acceptor import ReceivingEntity, StreamingAssociation
from node.upper_layer.buffer import ReceiveBuffer
from node.upper_layer.command_set import elements, has_data_set, store_request, store_response
from node.upper_layer.connection import Connection, Deadlines
from node.upper_layer.messages import Answer, ProtocolError
from node.upper_layer.provider import StreamingProvider
from node.upper_layer.stream import StoreStream
from tests.datasets import mammogram, rejection_note
from tests.fuzz.mutation import BYTES, mutated
from tests.fuzz.sessions import CONTEXTS, MESSAGES, messages, release

# A peer that gave no more bytes has closed, so nothing here may wait for this.
_DEADLINES = Deadlines(pdu_seconds=3600, association_seconds=3600)
_HELD_UNTIL = 1e12


class Source:
    """A socket that gives the input in reads of random sizes, then says that it is closed."""

    def __init__(self, content: bytes, random: Random) -> None:
        self._content = memoryview(content)
        self._random = random
        self.sent = bytearray()

    # No TCP: there are no TCP options to set.
    family = socket.AF_UNIX

    def settimeout(self, _seconds: float | None) -> None:
        """Nothing waits here."""

    def setblocking(self, _blocking: bool) -> None:
        """Nothing blocks here."""

    def recv_into(self, target: memoryview) -> int:
        """Give some of what is left."""
        assert len(target), "a read into no space would look like a closed connection"
        count = min(len(target), len(self._content), self._random.choice((1, 7, 100, 1 << 20)))
        target[:count] = self._content[:count]
        self._content = self._content[count:]
        return count

    def sendall(self, content: bytes) -> None:
        """Take what the node sends."""
        self.sent += content

    def send(self, content: bytes) -> int:
        """Take a part, as a full buffer would."""
        count = self._random.choice((len(content), 0, min(len(content), 5)))
        self.sent += content[:count]
        return count

    def shutdown(self, _how: int) -> None:
        """Close."""

    def close(self) -> None:
        """Close."""


class Sink:
    """A data set that may end once, and takes nothing after its end."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.content = bytearray()
        self.ended = False

    def write(self, fragment: memoryview) -> None:
        """Take bytes."""
        assert not self.ended, "written after its end"
        self.content += fragment

    def discard(self) -> None:
        """End without a result."""
        assert not self.ended, "ended twice"
        self.ended = True
        self._service.discarded += 1


class Service:
    """Counts what was begun, settled and discarded."""

    def __init__(self) -> None:
        self.opened: list[Sink] = []
        self.discarded = 0

    def open(self, _request: Any, _context: Any, _association: Any) -> Sink:
        """Begin."""
        self.opened.append(Sink(self))
        return self.opened[-1]

    def settle(self, sinks: Sequence[Sink]) -> list[Answer]:
        """End with an answer."""
        for sink in sinks:
            assert not sink.ended, "ended twice"
            sink.ended = True
        return [Answer(0x0000) for _ in sinks]

    def check(self) -> None:
        """Every data set that was begun has ended."""
        assert all(sink.ended for sink in self.opened), "neither settled nor discarded"


def offline(content: bytes, random: Random) -> Connection:
    """A Connection that reads this content."""
    connection = Connection.__new__(Connection)
    connection.socket = Source(content, random)
    connection.buffer = ReceiveBuffer(random.choice((1 << 17, 1 << 18)))
    connection.deadlines = _DEADLINES
    connection._opened = time.monotonic()
    return connection


@cache
def _accepted() -> dict[int, Any]:
    """Accepted contexts by id."""
    contexts = [build_context(uid, list(syntaxes)) for uid, syntaxes in CONTEXTS]
    return {2 * position + 1: context for position, context in enumerate(contexts)}


def stream(random: Random, content: bytes | None = None) -> Service:
    """P-DATA of broken messages into `StoreStream`; short-cuts for long PDUs change nothing."""
    if content is None:
        content = mutated(random, messages(random))
    service = _streamed(content, random, random.choice((8, 4096)))
    if random.random() < 0.25:
        plain = _streamed(content, random, 1 << 32)
        assert [each.content for each in service.opened] == [each.content for each in plain.opened]
        assert service.discarded == plain.discarded
    return service


def _streamed(content: bytes, random: Random, long_pdu_bytes: int) -> Service:
    connection, service = offline(content, random), Service()
    association: Any = SimpleNamespace(_accepted_cx=_accepted())
    handed_over: list[bytes] = []
    reader = StoreStream(association, connection, service, handed_over.append)
    reader.window, reader.long_pdu_bytes = random.choice((1, 4)), long_pdu_bytes
    try:
        while connection.need(6, _HELD_UNTIL):
            header = bytes(connection.buffer.take(6))
            if header[0] != 4:
                break
            reader.read(int.from_bytes(header[2:], "big"), _HELD_UNTIL)
    except (OSError, ProtocolError):
        pass
    finally:
        reader.abandon()
    service.check()
    assert sum(map(len, handed_over)) <= len(content) + 12 * len(handed_over)
    return service


def commands(random: Random, content: bytes | None = None) -> None:
    """Broken command sets; what reads as a C-STORE-RQ can be answered."""
    if content is None:
        content = random.choice(MESSAGES)(random)[0].values[0].content
        for _ in range(random.randrange(4)):
            content = random.choice(BYTES)(random, content)
    try:
        found = elements(content)
        request = store_request(found)
        has_data_set(found)
    except ValueError:
        return
    if request is not None:
        answer = store_response(request, 0xA700, "no room " * random.randrange(20))
        again = elements(answer)
        assert again[0x0120] == request.message_id.to_bytes(2, "little")
        assert len(again.get(0x0902, b"")) <= 64


@cache
def _data_sets() -> list[tuple[bytes, str]]:
    """One image in five encodings, with the sequences that the header looks into."""
    image = mammogram(size_px=(12, 8))
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "399162004", "SCT"
    modifier = Dataset()
    modifier.CodeValue, modifier.CodingSchemeDesignator = "399161006", "SCT"
    code.ViewModifierCodeSequence = [modifier]
    image.ViewCodeSequence = [code]
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator = "76752008", "SCT"
    image.AnatomicRegionSequence = [region]
    image.SpecificCharacterSet = ["ISO 2022 IR 6", "ISO 2022 IR 87"]
    image.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    image.StudyDescription = "screening"
    explicit = _encoded(image, ExplicitVRLittleEndian)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = packer.compress(explicit) + packer.flush()
    made = [*_plain(image), (deflated, str(DeflatedExplicitVRLittleEndian))]
    image.PixelData = encapsulate([b"\0" * 40])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    image["ViewCodeSequence"].is_undefined_length = True
    return [*made, (_encoded(image, JPEG2000Lossless), str(JPEG2000Lossless))]


@cache
def _notes() -> list[tuple[bytes, str]]:
    """A rejection note in three encodings, with sequences of known length and of unknown."""
    note = rejection_note(mammogram(size_px=(12, 8)))
    made = _plain(note)
    for element in note.iterall():
        element.is_undefined_length = element.VR == "SQ"
    return made + _plain(note)


def _plain(dataset: Dataset) -> list[tuple[bytes, str]]:
    syntaxes = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
    return [(_encoded(dataset, syntax), str(syntax)) for syntax in syntaxes]


def _encoded(dataset: Dataset, syntax: Any) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_dataset(buffer, Dataset(dataset))
    return bytes(buffer.getvalue())


def header(random: Random, content: bytes | None = None, folder: Path | None = None) -> None:
    """A broken data set is read or CannotUnderstandError; from memory and from a file alike."""
    whole, syntax = random.choice(_data_sets())
    if content is None:
        content = whole
        for _ in range(random.choice((0, 1, 1, 2, 3, 6))):
            content = random.choice(BYTES)(random, content)
    first = _outcome(lambda: parse_header(content, syntax))
    if folder is not None:
        path = folder / "dataset"
        path.write_bytes(b"\0" * 10 + content)
        assert _outcome(lambda: read_header(path, 10, syntax)) == first


def note(random: Random, content: bytes | None = None) -> None:
    """A broken rejection note is read, or says nothing."""
    whole, syntax = random.choice(_notes())
    if content is None:
        content = whole
        for _ in range(random.choice((0, 1, 1, 2, 3, 6))):
            content = random.choice(BYTES)(random, content)
    assert set(read_note(BytesIO(content), len(content), syntax)) in (set(), {TITLE, NAMED})


def _outcome(read: Callable[[], object]) -> object:
    try:
        return read()
    except CannotUnderstandError:
        return "refused"


@cache
def _entity() -> ReceivingEntity:
    return application_entity(load_settings(dicom_storage_classes="breast"))


def provider(random: Random, content: bytes | None = None) -> None:
    """Broken P-DATA and other PDUs into the DUL of an established association, and out of it."""
    if content is None:
        content = mutated(random, [*messages(random), *release(random)])
    association = StreamingAssociation(_entity(), 4, on_end=lambda: None)
    connection, service = offline(content, random), Service()
    connection._assoc, connection._is_connected = association, True
    connection.wake = lambda: None  # type: ignore[method-assign]
    association.requestor.address_info = AddressInformation("127.0.0.1", 1)
    association.dul.attach(connection, service)
    association.dul.socket = connection
    association._accepted_cx = _accepted()
    association.dul.state_machine.current_state = "Sta6"
    _turn(association.dul, connection)
    association.dul.stream.abandon()
    service.check()


def _turn(dul: StreamingProvider, connection: Connection) -> None:
    """What the DUL's loop does while the association is established, without its waiting."""
    while dul.state_machine.current_state == "Sta6" and not dul._kill_thread:
        if dul.event_queue.empty():
            dul._read_pdu_data()
        if dul.event_queue.empty():
            continue
        dul.state_machine.do_action(dul.event_queue.get(block=False))


class Parts:
    """Parts of a multipart body: each begins, is written and ends, in this order."""

    def __init__(self) -> None:
        self.open = False
        self.ended = 0

    def begin(self, headers: dict[str, str]) -> None:
        """Begin."""
        assert not self.open
        assert all(name == name.lower() for name in headers)
        self.open = True

    def write(self, _fragment: memoryview) -> None:
        """Take bytes."""
        assert self.open, "bytes outside of a part"

    def end(self) -> None:
        """End."""
        assert self.open, "ended without a beginning"
        self.open = False
        self.ended += 1


def multipart(random: Random, content: bytes | None = None) -> None:
    """A broken multipart body in chunks of random sizes is read, or MalformedRequestError."""
    if content is None:
        content = _multipart_body(random)
        for _ in range(random.choice((0, 1, 1, 2, 4))):
            content = random.choice(BYTES)(random, content)
    parts = Parts()
    reader = MultipartReader(_BOUNDARY, parts)
    try:
        while content:
            count = random.choice((1, 2, 30, 1000, len(content)))
            reader.feed(content[:count])
            content = content[count:]
        reader.close()
    except MalformedRequestError:
        return
    assert not parts.open, "the body ended in the middle of a part"


_BOUNDARY = b"--boundary.1"


def _multipart_body(random: Random) -> bytes:
    body = random.choice((b"", b"preamble\r\n", b"\r\n"))
    for _ in range(random.randrange(4)):
        body += b"--" + _BOUNDARY + b"\r\nContent-Type: application/dicom\r\n"
        body += random.choice((b"", b"Content-Location: /1\r\n")) + b"\r\n"
        near = random.choice((b"", b"\r\n--" + _BOUNDARY[:4], b"\r\n", b"\r"))
        body += random.randbytes(random.randrange(60)) + near + b"\r\n"
    return body + b"--" + _BOUNDARY + b"--" + random.choice((b"", b"\r\n", b"\r\nepilogue"))


TARGETS: dict[str, Callable[[Random], object]] = {
    "stream": stream,
    "commands": commands,
    "header": header,
    "note": note,
    "provider": provider,
    "multipart": multipart,
}
