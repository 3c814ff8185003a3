"""What the head of a part claims, and where its data set begins."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from pydicom.uid import JPEG2000Lossless

from node.errors import (
    CannotUnderstandError,
    SopClassNotSupportedError,
    TransferSyntaxNotSupportedError,
)
from node.settings import load_settings
from node.store.incoming import Claim, Incoming
from node.store.spool import Spool
from node.stow.part10 import Contexts, Part, Sender, read_claim
from tests.datasets import encapsulated_pdf, mammogram
from tests.peers.stow import part10
from tests.peers.wire import encoded

SENDER = Sender("10.0.0.7", "1.2.3")


def test_claim_of_a_file() -> None:
    """The claim is what the File Meta Information says; the data set follows it."""
    image = mammogram()
    content = part10(image)
    claim, offset = read_claim(content[: 1 << 16], SENDER)
    assert claim.AffectedSOPClassUID == image.SOPClassUID
    assert claim.AffectedSOPInstanceUID == image.SOPInstanceUID
    assert claim.transfer_syntax_uid == image.file_meta.TransferSyntaxUID
    assert (claim.calling_ae_title, claim.peer_host) == ("STOW-RS", "10.0.0.7")
    assert claim.study_instance_uid == "1.2.3"
    assert content[offset:] == encoded(image)


@pytest.mark.parametrize("cut", [0, 100, 131, 132, 140])
def test_no_file(cut: int) -> None:
    """Too short for a preamble or for any meta information."""
    with pytest.raises(CannotUnderstandError):
        read_claim(part10(mammogram())[:cut], SENDER)


def test_data_set_without_meta_information() -> None:
    """A bare data set is not a Part 10 file."""
    with pytest.raises(CannotUnderstandError):
        read_claim(encoded(mammogram()), SENDER)


def test_meta_information_without_end() -> None:
    """Meta information that is longer than any real one is refused instead of gathered."""
    long = struct.pack("<HH2sHI", 0x0002, 0x0102, b"OB", 0, 1 << 20) + bytes(1 << 20)
    content = part10(mammogram())
    opened: list[Claim] = []
    part = Part(SENDER, _opening(opened))
    start = content.index(b"\x08\x00\x08\x00CS")
    for piece in (content[:start], long[:70_000], long[70_000:], content[start:]):
        part.write(memoryview(piece))
    with pytest.raises(CannotUnderstandError):
        part.end()
    assert opened == []


@pytest.mark.parametrize("piece_bytes", [1, 1000, 1 << 16, 1 << 20])
def test_pieces_do_not_matter(piece_bytes: int, tmp_path: Path) -> None:
    """The data set reaches the inbox as it was, however it is cut."""
    image = mammogram(size_px=(200, 180))
    content = part10(image)
    spool = Spool(tmp_path)
    part = Part(SENDER, spool.new)
    for start in range(0, len(content), piece_bytes):
        part.write(memoryview(content)[start : start + piece_bytes])
    incoming = part.end()
    assert incoming.claim.AffectedSOPInstanceUID == image.SOPInstanceUID
    kept = incoming.content()
    assert kept is not None
    assert bytes(kept)[incoming.dataset_offset :] == encoded(image)
    spool.close()


def test_contexts() -> None:
    """Storage classes are those of the settings, transfer syntaxes those that are known."""
    contexts = Contexts(load_settings(dicom_storage_classes="breast"))
    image = Claim(mammogram().SOPClassUID, "1.2", str(JPEG2000Lossless), "", "")
    contexts.check(image)
    contexts.check(Claim(encapsulated_pdf().SOPClassUID, "1.2", "1.2.840.10008.1.2", "", ""))
    with pytest.raises(SopClassNotSupportedError):
        contexts.check(Claim("1.2.840.10008.5.1.4.1.1.2", "1.2", "1.2.840.10008.1.2", "", ""))
    with pytest.raises(TransferSyntaxNotSupportedError):
        contexts.check(Claim(image.AffectedSOPClassUID, "1.2", "1.2.3.4", "", ""))


def _opening(opened: list[Claim]):
    def open_instance(claim: Claim) -> Incoming:
        opened.append(claim)
        raise AssertionError("must not be opened")

    return open_instance
