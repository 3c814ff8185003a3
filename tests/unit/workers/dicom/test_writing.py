"""Objects are written as pydicom writes them, however often an item stands in them."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from node.destinations import ResultKind, Variant
from tests.datasets import mammogram
from tests.results import CONTENT_AT, findings_of, header, outcome
from workers.analyses import ImageAnalysis, StudyAnalysis
from workers.dicom.writing import part10
from workers.results import encode_study


def _by_pydicom(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "variant"),
    [
        ("SEG", "ohif"),
        ("SEG", "c-plain"),
        ("SR", "ohif"),
        ("SR", "plain"),
        ("CADSR", ""),
        ("GSPS", ""),
        ("GSPS", "shutter"),
        ("KOS", ""),
    ],
)
def test_every_kind_is_the_file_that_pydicom_writes(kind: ResultKind, variant: Variant) -> None:
    """Byte for byte; names in Cyrillic, and a sequence inherited from the image."""
    source = header(SpecificCharacterSet="ISO_IR 192", PatientName="Иванова^Анна")
    procedure = Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator = "71651007", "SCT"
    procedure.CodeMeaning = "Маммография"
    source.ProcedureCodeSequence = [procedure]
    source.SmallestImagePixelValue = 3
    analysis = ImageAnalysis(source, None, (outcome(source, findings=tuple(findings_of(source))),))
    study = StudyAnalysis((analysis,), revision=1, content_at=CONTENT_AT)
    (result,) = encode_study(study, {(kind, variant)})
    assert part10(result.dataset) == _by_pydicom(result.dataset)


def test_lengths_values_and_places_are_those_of_pydicom() -> None:
    """One item in three places, undefined lengths, values whose VR another element decides."""
    shared, outer = Dataset(), Dataset()
    shared.CodeMeaning = "Brust, größer"
    shared.SmallestImagePixelValue = -5
    outer.ConceptNameCodeSequence = [shared, shared]
    outer.ContentSequence = []
    outer.is_undefined_length_sequence_item = True
    dataset = mammogram()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PixelRepresentation = 1
    dataset.SmallestImagePixelValue = -3
    dataset.ConceptCodeSequence = [shared]
    dataset.ContentSequence = [outer, outer]
    dataset["ContentSequence"].is_undefined_length = True
    content = part10(dataset)
    assert content == _by_pydicom(dataset)
    read = pydicom.dcmread(BytesIO(content))
    assert read.ContentSequence[1].ConceptNameCodeSequence[1].CodeMeaning == "Brust, größer"
    assert read.ContentSequence[0].ConceptNameCodeSequence[0].SmallestImagePixelValue == -5


def test_an_item_keeps_its_own_character_set_and_loses_its_group_lengths() -> None:
    """Both come from images, whose sequences results take over."""
    item, inner = Dataset(), Dataset()
    inner.CodeMeaning = "маммография"
    item.add_new(0x00080000, "UL", 12)
    item.SpecificCharacterSet = "ISO_IR 144"
    item.CodeMeaning = "молочная железа"
    item.ConceptCodeSequence = [inner]
    dataset = mammogram()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ProcedureCodeSequence = [item, inner]
    content = part10(dataset)
    assert content == _by_pydicom(dataset)
    read = pydicom.dcmread(BytesIO(content)).ProcedureCodeSequence[0]
    assert read.CodeMeaning == "молочная железа"
    assert read.ConceptCodeSequence[0].CodeMeaning == "маммография"


def test_large_pixels_are_written_and_the_object_keeps_them() -> None:
    """As bytes: writing leaves an object as it was."""
    dataset = mammogram(size_px=(1024, 1024))
    pixels = dataset.PixelData
    assert part10(dataset) == _by_pydicom(dataset)
    assert dataset.PixelData is pixels


def test_an_image_in_another_syntax_is_written_in_it() -> None:
    """What sequences were encoded for is Explicit VR Little Endian."""
    dataset = mammogram()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    content = part10(dataset)
    assert pydicom.dcmread(BytesIO(content)).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert content == _by_pydicom(dataset)
