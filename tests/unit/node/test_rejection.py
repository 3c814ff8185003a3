"""What is read of a Key Object Selection, in every encoding."""

from __future__ import annotations

import time
from copy import deepcopy
from io import BytesIO
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.dsutils import encode

from node.rejection import NAMED, TITLE, read_note
from tests.datasets import mammogram, rejection_note

SYNTAXES = (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)


def _read(note: Dataset, syntax: str, undefined_lengths: bool) -> dict[str, Any]:
    """What is read of a note that is encoded so."""
    for element in note.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined_lengths
    uid = UID(syntax)
    content = encode(note, uid.is_implicit_VR, uid.is_little_endian, uid.is_deflated)
    assert content is not None
    return read_note(BytesIO(content), len(content), syntax)


@pytest.mark.parametrize("undefined_lengths", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_note_in_every_encoding(syntax: str, undefined_lengths: bool) -> None:
    """Senders differ in syntax, and in whether sequences tell their length."""
    image = mammogram()
    note = rejection_note(image, title="113037")
    assert _read(note, syntax, undefined_lengths) == {
        TITLE: "113037",
        NAMED: [image.SOPInstanceUID],
    }


@pytest.mark.parametrize("undefined_lengths", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_stands_elsewhere_in_a_note_names_nothing(
    syntax: str, undefined_lengths: bool
) -> None:
    """References of the content tree, of requests and of private sequences are not the evidence."""
    image, other = mammogram(), rejection_note(mammogram())
    note = rejection_note(image)
    series = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].PurposeOfReferenceCodeSequence = [deepcopy(other)]
    for keyword in ("ContentSequence", "IdenticalDocumentsSequence"):
        setattr(note, keyword, deepcopy(other.CurrentRequestedProcedureEvidenceSequence))
    block = note.private_block(0x0009, "99HOME", create=True)
    block.add_new(0x01, "SQ", [deepcopy(other)])
    assert _read(note, syntax, undefined_lengths) == {
        TITLE: "113001",
        NAMED: [image.SOPInstanceUID],
    }


def test_a_private_sequence_of_unknown_vr_is_passed_over() -> None:
    """PS3.5 6.2.2: archives that do not know it write UN without a length, and no VRs within."""
    image = mammogram()
    note = encode(rejection_note(image), is_implicit_vr=False, is_little_endian=True)
    within = Dataset()
    within.ReferencedSOPInstanceUID, within.CodeValue = "1.2.3", "1"
    item = encode(within, is_implicit_vr=True, is_little_endian=True)
    assert note is not None
    assert item is not None
    unknown = b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" + item
    ends = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    at = note.index(b"\x10\x00\x10\x00")
    content = note[:at] + unknown + ends + note[at:]
    found = read_note(BytesIO(content), len(content), ExplicitVRLittleEndian)
    assert found[NAMED] == [image.SOPInstanceUID]


@pytest.mark.parametrize(
    "piece",
    [b"\x40\x00\x75\xa3SQ\0\0\xff\xff\xff\xff", b"\xfe\xff\x00\xe0\0\0\0\0"],
    ids=["sequences", "items"],
)
def test_a_hostile_note_holds_up_nobody(piece: bytes) -> None:
    """A megabyte of nothing but beginnings took a process seven seconds."""
    begin = b"\x40\x00\x75\xa3SQ\0\0\xff\xff\xff\xff"
    content = begin + piece * (1_000_000 // len(piece))
    started = time.process_time()
    assert read_note(BytesIO(content), len(content), ExplicitVRLittleEndian) == {}
    assert time.process_time() - started < 1


def test_a_title_of_another_scheme_rejects_nothing() -> None:
    """Somebody's own code may be the same number."""
    note = rejection_note(mammogram())
    note.ConceptNameCodeSequence[0].CodingSchemeDesignator = "99HOME"
    content = encode(note, is_implicit_vr=False, is_little_endian=True)
    assert content is not None
    assert read_note(BytesIO(content), len(content), ExplicitVRLittleEndian) == {}


@pytest.mark.parametrize("length", range(0, 700, 7))
def test_a_note_that_is_cut_raises_nothing(length: int) -> None:
    """Wherever it ends: the object is kept, and rejects nothing or what it still names."""
    content = encode(rejection_note(mammogram()), is_implicit_vr=False, is_little_endian=True)
    assert content is not None
    assert set(read_note(BytesIO(content[:length]), length, ExplicitVRLittleEndian)) <= {
        TITLE,
        NAMED,
    }
