"""What is read of a Key Object Selection, in every encoding."""

from __future__ import annotations

from io import BytesIO

import pytest
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


@pytest.mark.parametrize("undefined_lengths", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_note_in_every_encoding(syntax: str, undefined_lengths: bool) -> None:
    """Senders differ in syntax, and in whether sequences tell their length."""
    image = mammogram()
    note = rejection_note(image, title="113037")
    for element in note.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined_lengths
    uid = UID(syntax)
    content = encode(note, uid.is_implicit_VR, uid.is_little_endian, uid.is_deflated)
    assert content is not None
    found = read_note(BytesIO(content), len(content), syntax)
    assert found == {TITLE: "113037", NAMED: [image.SOPInstanceUID]}


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
