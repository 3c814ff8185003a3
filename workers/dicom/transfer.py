"""A written object in the transfer syntax of its way to an archive.

In: a Part 10 file in Explicit VR Little Endian, as results lie on disk, and its destination. Out:
the syntaxes to try, and the same data set in each. What must hold: it is the same object, its UIDs
included; deflated (PS3.5 A.5) no element is decoded or written again, so the inflated data set is
the original byte for byte; the same bytes in, the same out.

Deflate is what makes a segmentation small: one bit per pixel of mostly nothing (34 MB for twenty
findings on a 3328 x 4096 mammogram) becomes some 50 kB. RLE Lossless cannot: a run ends after 128
bytes, so that much nothing still costs 0.5 MB packed and 4 MB at a byte per pixel; and DCMTK 3.6.7
and pydicom 3.0 refuse to read single bits in RLE.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.destinations import SOP_CLASS_OF_KIND, Destination
from node.errors import EncodingError
from node.store.originals import in_memory
from workers.dicom.identity import Identity

# Above 6 it is 5 % smaller and 20 % slower; level 1 is 3.5 times as large.
_LEVEL: Final = 6
_PREAMBLE_BYTES: Final = 128
_PREFIX: Final = b"DICM"
# Group length of File Meta Information: (0002,0000) UL, four bytes long.
_GROUP_LENGTH_BYTES: Final = 12


def syntaxes_for(identity: Identity, destination: Destination) -> list[str]:
    """Transfer syntaxes in which an object may be sent, the preferred one first.

    Deflated where the destination wants its segmentations so; then as it lies on disk; at last
    Implicit VR Little Endian, the default that every application entity must take (PS3.5 10.1).
    """
    wanted = [identity.transfer_syntax_uid]
    if identity.transfer_syntax_uid == ExplicitVRLittleEndian:
        if identity.sop_class_uid == SOP_CLASS_OF_KIND["SEG"]:
            wanted = [_SEG_SYNTAXES[each] for each in destination.seg_transfer_syntaxes] + wanted
        wanted.append(str(ImplicitVRLittleEndian))
    return list(dict.fromkeys(wanted))


@contextmanager
def in_syntax(path: Path, transfer_syntax_uid: str) -> Iterator[Path]:
    """The file of an object in this syntax: itself, or one that lives as long as the block.

    Raises EncodingError, OSError.
    """
    if transfer_syntax_uid not in _WRITERS or _syntax(path) == transfer_syntax_uid:
        yield path
        return
    with in_memory(_WRITERS[transfer_syntax_uid](path.read_bytes())) as written:
        yield written


def implicit(content: bytes) -> bytes:
    """The object as a Part 10 file in Implicit VR Little Endian; every value stays as it is."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=True, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


def deflated(content: bytes) -> bytes:
    """The object as a Part 10 file in Deflated Explicit VR Little Endian.

    `content`: a Part 10 file in Explicit VR Little Endian. Raises EncodingError for any other.
    """
    head, dataset = _split(content)
    meta = pydicom.dcmread(io.BytesIO(head)).file_meta
    if meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        raise EncodingError(f"{meta.TransferSyntaxUID.name} cannot be deflated as it is")
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_file_meta_info(buffer, meta)
    return b"".join((content[:_PREAMBLE_BYTES], _PREFIX, buffer.getvalue(), _compressed(dataset)))


_WRITERS = {
    str(DeflatedExplicitVRLittleEndian): deflated,
    str(ImplicitVRLittleEndian): implicit,
}
_SEG_SYNTAXES = {
    "deflated": str(DeflatedExplicitVRLittleEndian),
    "explicit": str(ExplicitVRLittleEndian),
}


def _syntax(path: Path) -> UID:
    syntax: UID = pydicom.dcmread(path, specific_tags=[]).file_meta.TransferSyntaxUID
    return syntax


def _split(content: bytes) -> tuple[bytes, memoryview]:
    """Everything up to the end of File Meta Information, and the data set behind it."""
    begin = _PREAMBLE_BYTES + len(_PREFIX)
    if content[_PREAMBLE_BYTES:begin] != _PREFIX or content[begin : begin + 4] != b"\2\0\0\0":
        raise EncodingError("only a Part 10 file with a group length can be deflated")
    end = begin + _GROUP_LENGTH_BYTES
    end += int.from_bytes(content[end - 4 : end], "little")
    return content[:end], memoryview(content)[end:]


def _compressed(dataset: memoryview) -> bytes:
    """The bare deflate stream of RFC 1951, padded to an even length (PS3.5 A.5)."""
    deflating = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    stream = deflating.compress(dataset) + deflating.flush()
    return stream + b"\0" * (len(stream) % 2)
