"""Valid sessions as a list of parts, so that they can be broken at places that mean something."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from random import Random

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from tests.datasets import mammogram
from tests.peers import pipelining
from tests.peers.pipelining import MAMMOGRAPHY, VERIFICATION, padded
from tests.peers.wire import encoded

COMMITMENT = "1.2.840.10008.1.20.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
CONTEXTS = (
    (VERIFICATION, [ImplicitVRLittleEndian]),
    (MAMMOGRAPHY, [ExplicitVRLittleEndian]),
    (STUDY_ROOT_FIND, [ImplicitVRLittleEndian]),
    (COMMITMENT, [ImplicitVRLittleEndian]),
)
ECHO_ID, STORE_ID, FIND_ID, COMMITMENT_ID = 1, 3, 5, 7
_COMMAND, _LAST = 1, 2


@dataclass
class Value:
    """One presentation data value; `length` overrides what its header says."""

    context_id: int
    control: int
    content: bytes
    length: int | None = None

    def encode(self) -> bytes:
        """Header and content."""
        length = len(self.content) + 2 if self.length is None else self.length
        return struct.pack(">IBB", length & 0xFFFFFFFF, self.context_id, self.control) + (
            self.content
        )


@dataclass
class Pdu:
    """One PDU: P-DATA-TF of values, or another kind with its body."""

    kind: int
    values: list[Value] = field(default_factory=list)
    body: bytes = b""
    length: int | None = None

    def encode(self) -> bytes:
        """Header and body."""
        body = self.body + b"".join(value.encode() for value in self.values)
        length = len(body) if self.length is None else self.length
        return struct.pack(">BBI", self.kind, 0, length & 0xFFFFFFFF) + body


# One in so many objects is kept as a file; smaller ones are kept in their row.
_LARGE = 10


@cache
def data_set(size_px: tuple[int, int]) -> tuple[bytes, str]:
    """A mammogram: encoded, and its SOP Instance UID."""
    image = mammogram(size_px=size_px)
    return encoded(image), str(image.SOPInstanceUID)


def renamed(random: Random) -> tuple[bytes, str]:
    """The data set under a SOP Instance UID of its own, of the same length."""
    content, uid = data_set((24, 16) if random.randrange(_LARGE) else (200, 200))
    new = uid[:-8] + "".join(random.choice("123456789") for _ in range(8))
    return content.replace(uid.encode(), new.encode()), new


@cache
def _association_request() -> bytes:
    return pipelining.association_request(CONTEXTS, 4)


def association(random: Random) -> Pdu:
    """A-ASSOCIATE-RQ."""
    window = random.choice([None, 0, 1, 4])
    body = _association_request() if window == 4 else _association_request_of(window)
    return Pdu(1, body=body[6:])


@cache
def _association_request_of(window: int | None) -> bytes:
    return pipelining.association_request(CONTEXTS, window)


def store(random: Random) -> list[Pdu]:
    """A C-STORE, its data set in fragments of random sizes, several to a PDU at times."""
    content, uid = renamed(random)
    request = pipelining.store_command(random.randrange(65536), MAMMOGRAPHY, uid)
    values = [Value(STORE_ID, _COMMAND | _LAST, request)]
    values += fragments(random, STORE_ID, content)
    return packed(random, values)


def fragments(random: Random, context_id: int, content: bytes) -> list[Value]:
    """Data set fragments, the last one marked; of equal length, as of most senders, at times."""
    cuts = sorted(random.randrange(len(content) + 1) for _ in range(random.randrange(4)))
    if random.random() < 0.3:
        cuts = list(range(0, len(content), random.randint(1 + len(content) // 9, len(content))))
    edges = [0, *cuts, len(content)]
    pieces = [content[begin:end] for begin, end in pairwise(edges)]
    return [
        Value(context_id, _LAST if position == len(pieces) - 1 else 0, piece)
        for position, piece in enumerate(pieces)
    ]


def packed(random: Random, values: list[Value]) -> list[Pdu]:
    """P-DATA-TF PDUs of one or more values each."""
    pdus: list[Pdu] = []
    for value in values:
        if pdus and random.random() < 0.3:
            pdus[-1].values.append(value)
        else:
            pdus.append(Pdu(4, [value]))
    return pdus


def echo(random: Random) -> list[Pdu]:
    """A C-ECHO, its command set in one or two fragments."""
    request = pipelining.echo_command(random.randrange(65536))
    cut = random.choice([0, random.randrange(len(request))])
    values = [Value(ECHO_ID, _COMMAND | _LAST, request[cut:])]
    if cut:
        values.insert(0, Value(ECHO_ID, _COMMAND, request[:cut]))
    return packed(random, values)


def find(random: Random) -> list[Pdu]:
    """A C-FIND, and perhaps the C-CANCEL for it."""
    number = random.randrange(65536)
    request = pipelining.command(0x0020, number, True, (0x0002, padded(STUDY_ROOT_FIND)))
    level = struct.pack("<HHI", 0x0008, 0x0052, 6) + b"STUDY "
    study = struct.pack("<HHI", 0x0020, 0x000D, 0)
    values = [Value(FIND_ID, _COMMAND | _LAST, request)]
    values += fragments(random, FIND_ID, level + study)
    if random.random() < 0.3:
        cancel = pipelining.command(0x0FFF, 0, False, (0x0120, struct.pack("<H", number)))
        values.append(Value(FIND_ID, _COMMAND | _LAST, cancel))
    return packed(random, values)


def commitment(random: Random) -> list[Pdu]:
    """An N-ACTION of Storage Commitment (PS3.4 J.3.2), for an instance that nobody sent."""
    request = pipelining.command(
        0x0130,
        random.randrange(65536),
        True,
        (0x0003, padded(COMMITMENT)),
        (0x1001, padded("1.2.840.10008.1.20.1.1")),
        (0x1008, struct.pack("<H", 1)),
    )
    transaction = padded(str(generate_uid()))
    content = struct.pack("<HHI", 0x0008, 0x1195, len(transaction)) + transaction
    values = [Value(COMMITMENT_ID, _COMMAND | _LAST, request)]
    return packed(random, values + fragments(random, COMMITMENT_ID, content))


def event_report(random: Random) -> list[Pdu]:
    """N-EVENT-REPORTs, which pynetdicom serves in a thread each."""
    uids = (0x0002, padded(COMMITMENT)), (0x1000, padded("1.2.840.10008.1.20.1.1"))
    values: list[Value] = []
    for _ in range(random.choice((1, 1, 1, 200))):
        number, kind = random.randrange(65536), struct.pack("<H", 1)
        request = pipelining.command(0x0100, number, False, *uids, (0x1002, kind))
        values.append(Value(COMMITMENT_ID, _COMMAND | _LAST, request))
    return packed(random, values)


def release(_random: Random) -> list[Pdu]:
    """A-RELEASE-RQ."""
    return [Pdu(5, body=bytes(4))]


def abort(_random: Random) -> list[Pdu]:
    """A-ABORT."""
    return [Pdu(7, body=bytes(4))]


MESSAGES = (store, store, store, echo, find, commitment, event_report)


def messages(random: Random) -> list[Pdu]:
    """P-DATA of one to three messages."""
    return [pdu for _ in range(random.randrange(1, 4)) for pdu in random.choice(MESSAGES)(random)]


def session(random: Random) -> list[Pdu]:
    """A whole association."""
    end = random.choice([release, release, abort, lambda _: []])
    return [association(random), *messages(random), *end(random)]
